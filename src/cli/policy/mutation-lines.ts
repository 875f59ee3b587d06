import type { ExampleCase } from '../../tools/policy/analyze/example-case.ts';
import type { Mutation, Survivor } from '../../tools/policy/cases/mutation/mutation.ts';
import { findingCounts } from './finding-lines.ts';
import type { ProvedMutation } from './mutation-proof.ts';

/** Whether at most `most` mutants survived, and every accepted mutant did survive. */
export const isNoticed = ({ survivors, uselessAccepts }: Mutation, most: number): boolean =>
  survivors.length <= most && uselessAccepts.length === 0;

/** The surviving mutants, one line each with the case that would detect it, and the counts. */
export function mutationLines(mutation: Mutation | ProvedMutation, isVerbose: boolean): readonly string[] {
  const { mutants, noticed, unloadable, survivors, accepted, uselessAccepts } = mutation;
  const equivalent = 'equivalent' in mutation ? mutation.equivalent : null;
  const refused = unloadable === 0 ? '' : ` (${unloadable} more refused by validation)`;
  return [
    ...survivors.flatMap((one) => survivorLines(one, 'survives')),
    ...(isVerbose ? accepted.flatMap((one) => survivorLines(one, 'accepted')) : []),
    ...(isVerbose ? (equivalent ?? []).flatMap((one) => survivorLines(one, 'equivalent by proof')) : []),
    ...uselessAccepts.map(
      ({ file, line, column, policy, mutant }) =>
        `${file}:${line}:${column}: \`${policy}\`: \`@accept\` names \`${mutant}\`, which does not survive`,
    ),
    `${findingCounts(mutants, 'mutant')}${refused}: ${noticed} noticed, ${survivors.length} survived, ${accepted.length} accepted${equivalent === null ? '' : `, ${equivalent.length} equivalent by proof`}`,
  ];
}

/** What the solver found of a survivor. */
interface Judged {
  readonly case: ExampleCase | null;
  readonly tried: readonly string[];
}

function survivorLines(
  { file, line, column, end, policy, what, mutant, wouldNotice, ...judged }: Survivor & Partial<Judged>,
  word: 'survives' | 'accepted' | 'equivalent by proof',
): readonly string[] {
  const lines = end.line === line ? '' : `, to line ${end.line}`;
  return [
    `${file}:${line}:${column}: ${word}: \`${policy}\`${lines}: ${what} [${mutant}]`,
    ...(wouldNotice === null || word === 'equivalent by proof' ? [] : [`  would be noticed by ${wouldNotice}`]),
    ...(judged.case === undefined || judged.case === null ? [] : [`  for example ${JSON.stringify(judged.case)}`]),
    ...(judged.tried ?? []).map((one) => `  tried: ${one}`),
  ];
}
