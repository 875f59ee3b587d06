import type { AnalysisResult, SetResult, TestResult } from '../set-results.ts';
import { code, type Line, listBlock, strong } from './block.ts';

/** Most invariants that are named in a line. */
const MAX_NAMED = 20;

/** What was analysed and tested of a set, each with date and version; says if there is nothing. */
export function resultLines(results: readonly SetResult[]): readonly Line[] {
  const analyses = results.filter((result) => result.kind === 'analysis');
  const tests = results.filter((result) => result.kind === 'tests');
  return [
    ...(analyses.length === 0
      ? [['analysed invariants: ', strong('none'), ' for this set']]
      : analyses.map(analysisLine)),
    ...(tests.length === 0 ? [['coverage and mutation: ', strong('no result'), ' for this set']] : tests.map(testLine)),
  ];
}

function analysisLine({ answers, prover, at, spec, from }: AnalysisResult): Line {
  const of = (verdict: (typeof answers)[number]['verdict']): readonly (typeof answers)[number][] =>
    answers.filter((answer) => answer.verdict === verdict);
  return [
    `analysed invariants of `,
    code(spec.file),
    ` (SHA-256 ${spec.sha256}), by invariant and action: ${of('proved').length} proved, ${of('refuted').length} refuted, ${of('undecided').length} undecided`,
    ...named('proved', of('proved')),
    ...named('refuted', of('refuted')),
    ...named('undecided', of('undecided')),
    `; made ${at} by Cedar's symbolic analysis ${prover.cedar} with cvc5 ${prover.cvc5}, ${sourceText(from)}`,
  ];
}

const named = (verdict: string, answers: AnalysisResult['answers']): Line =>
  answers.length === 0 ? [] : [`; ${verdict}: `, ...listBlock(namesOf(answers), MAX_NAMED, (id) => [id])];

const namesOf = (answers: AnalysisResult['answers']): readonly string[] => [
  ...new Set(
    answers.map(
      ({ invariants, action, reason }) =>
        `${invariants.join(' with ')} for ${action}${reason === null ? '' : ` (${reason})`}`,
    ),
  ),
];

function testLine({
  coverage,
  mutation,
  passed,
  failed,
  skipped,
  unlisted,
  isWhole,
  at,
  remit,
  from,
}: TestResult): Line {
  const mutants =
    mutation === null
      ? 'no policy was mutated'
      : `of ${mutation.mutants} mutants ${mutation.noticed} were noticed, ${mutation.survived} survived, ${mutation.accepted} are accepted`;
  const tried = unlisted === null ? 'unlisted calls were not tried' : `${unlisted} unlisted calls were allowed`;
  return [
    `clause coverage ${coverage.percent} % (${coverage.covered} of ${coverage.points}); ${mutants}; ${passed} test cases passed, ${failed} failed, ${skipped} were skipped; ${tried}`,
    ...(isWhole ? [] : ['; ', strong('a part of the cases alone')]),
    `; made ${at} by Remit ${remit}, ${sourceText(from)}`,
  ];
}

const sourceText = (from: SetResult['from']): string =>
  from === null ? 'for this report' : `as the file ${from.file} (SHA-256 ${from.sha256}) says`;
