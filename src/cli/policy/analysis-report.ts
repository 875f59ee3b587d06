/** What an analysis found, as lines, JSON, SARIF and test cases. */
import type { SourceFinding } from '../../core/action/catalog/finding.ts';
import type { PolicySet } from '../../core/policy/loading/load.ts';
import type { ActionComparison } from '../../tools/policy/analyze/analysis.ts';
import { exampleCase } from '../../tools/policy/analyze/example-case.ts';
import type { ExampleCase } from '../../tools/policy/analyze/example-case.ts';
import type { CounterExample, AnalysisVerdict } from '../../tools/policy/analyze/implication.ts';
import type { GrantResult } from '../../tools/policy/analyze/grants.ts';
import type { InvariantResult } from '../../tools/policy/analyze/invariants.ts';
import { findingCounts } from './finding-lines.ts';
import { sarifOf } from './sarif.ts';

/** Rules of the SARIF report, by id. */
export const ANALYSIS_RULES: ReadonlyMap<string, string> = new Map([
  ['newly-allowed', 'the new set allows what the old set does not'],
  ['no-longer-allowed', 'the old set allows what the new set does not'],
  ['invariant', 'the set allows what its specification excludes'],
  ['granted-unusable', 'a token may be granted for an action of which no use can be allowed'],
  ['usable-ungranted', 'uses of an action may be allowed for which no token can be granted'],
  ['undecided', 'the solver gave no answer in its bounds'],
]);

/** The answer to one question. */
export interface AnalysisFinding {
  readonly verdict: AnalysisVerdict;
  readonly rule: 'newly-allowed' | 'no-longer-allowed' | 'invariant' | GrantResult['mismatch'];
  /** What is asked, in words: `payments.create: newly allowed`. */
  readonly what: string;
  readonly place: Pick<SourceFinding, 'file' | 'line' | 'column' | 'policy'>;
  readonly test: ExampleCase | null;
  /** As in the output of `--json`. */
  readonly shown: Readonly<Record<string, unknown>>;
}

/** The findings of a comparison: two for each action. */
export const comparisonFindings = (
  compared: readonly ActionComparison[],
  [former, other]: readonly [PolicySet, PolicySet],
): readonly AnalysisFinding[] =>
  compared.flatMap(({ action, entry, gained, lost }) => {
    const about = { action, catalog: entry };
    return [
      findingOf(gained, { rule: 'newly-allowed', about, what: `${action}: newly allowed`, set: other, other: 'deny' }),
      findingOf(lost, {
        rule: 'no-longer-allowed',
        about,
        what: `${action}: no longer allowed`,
        set: former,
        other: 'allow',
      }),
    ];
  });

/** The findings of a specification: one for each invariant and action. */
export const invariantFindings = (results: readonly InvariantResult[], set: PolicySet): readonly AnalysisFinding[] =>
  results.map(({ action, invariants, verdict }) => {
    const ids = invariants.map(({ id }) => id);
    const reason = invariants.map((one) => one.reason).find((one) => one !== null) ?? null;
    const what = `${action}: against ${ids.map((id) => `\`${id}\``).join(', ')}${reason === null ? '' : ` (${reason})`}`;
    return findingOf(verdict, {
      rule: 'invariant',
      about: { action, invariants: ids, reason },
      what,
      set,
      other: 'deny',
    });
  });

const MISMATCHES: Readonly<Record<GrantResult['mismatch'], string>> = {
  'granted-unusable': 'granted, and no use can be allowed',
  'usable-ungranted': 'uses are allowed, and no token can be granted',
};

/** The findings about grants and uses: two for each action. */
export const grantFindings = (results: readonly GrantResult[], set: PolicySet): readonly AnalysisFinding[] =>
  results.map(({ action, mismatch, verdict }) =>
    findingOf(verdict, {
      rule: mismatch,
      about: { action },
      what: `${action}: ${MISMATCHES[mismatch]}`,
      set,
      other: 'deny',
    }),
  );

interface Asked {
  readonly rule: AnalysisFinding['rule'];
  readonly about: Readonly<Record<string, unknown>>;
  readonly what: string;
  /** The set that allows the example. */
  readonly set: PolicySet;
  /** What the test of an example expects. */
  readonly other: 'allow' | 'deny';
}

function findingOf(verdict: AnalysisVerdict, { rule, about, what, set, other }: Asked): AnalysisFinding {
  const example = verdict.kind === 'refuted' ? verdict.example : null;
  const test =
    example === null ? null : exampleCase(example.question, { name: `counter-example: ${what}`, decision: other });
  return {
    verdict,
    rule,
    what,
    place: placeOf(example, set),
    test,
    shown: {
      ...about,
      direction: rule,
      verdict: verdict.kind,
      by: verdict.kind === 'proved' ? verdict.by : null,
      tried: verdict.kind === 'undecided' ? verdict.tried : [],
      policies: example?.permitIds ?? [],
      case: test,
    },
  };
}

/** The place of the first permit that allows the example; else the catalog. */
function placeOf(example: CounterExample | null, { policies, source }: PolicySet): AnalysisFinding['place'] {
  const permit = policies.find(({ id }) => example?.permitIds[0] === id);
  if (permit === undefined) return { file: source.catalogs[0]?.file ?? source.folder, line: 1, column: 1 };
  const { file, line, column } = permit.link ?? permit;
  return { file, line, column, policy: permit.id };
}

/** The counter-examples as tests. */
export const casesOf = (findings: readonly AnalysisFinding[]): readonly ExampleCase[] =>
  findings.flatMap(({ test }) => test ?? []);

/** Refuted and undecided answers as SARIF. */
export const analysisSarif = (findings: readonly AnalysisFinding[], rules: ReadonlyMap<string, string>): unknown =>
  sarifOf(
    findings.flatMap(({ verdict, rule, what, place, test }) => {
      if (verdict.kind === 'proved') return [];
      const isUndecided = verdict.kind === 'undecided';
      const message = isUndecided ? `${what}: undecided: ${verdict.tried.join('; ')}` : what;
      const help = test === null ? null : `for example ${JSON.stringify(test.request)}`;
      return [
        { rule: isUndecided ? 'undecided' : rule, level: 'warning', finding: { ...place, message, help } } as const,
      ];
    }),
    rules,
  );

/** The answers as lines, with counter-examples, and a line that counts them. */
export function analysisLines(findings: readonly AnalysisFinding[]): readonly string[] {
  const of = (kind: AnalysisVerdict['kind']): number => findings.filter(({ verdict }) => verdict.kind === kind).length;
  return [
    ...findings.flatMap(linesOf),
    `${findingCounts(findings.length, 'question')}: ${of('proved')} proved, ${of('refuted')} refuted, ${of('undecided')} undecided`,
  ];
}

function linesOf({ verdict, rule, what, place, test }: AnalysisFinding): readonly string[] {
  if (verdict.kind === 'proved')
    return [
      `proved${verdict.by === 'structure' ? ' by comparing policies' : ''}: ${what}${rule === 'invariant' ? ': holds' : ': nothing'}`,
    ];
  if (verdict.kind === 'undecided') return [`undecided: ${what}`, ...verdict.tried.map((one) => `  tried: ${one}`)];
  const by = verdict.example.permitIds.map((id) => `\`${id}\``).join(', ');
  return [
    `${place.file}:${place.line}:${place.column}: refuted: ${what}, by ${by}`,
    ...(test === null ? [] : [`  for example ${JSON.stringify(test)}`]),
  ];
}
