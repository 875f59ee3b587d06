import type { Mutation, Survivor } from '../../tools/policy/cases/mutation/mutation.ts';
import { findingCounts } from './finding-lines.ts';

/** Whether at most `most` mutants survived, and every accepted mutant did survive. */
export const isNoticed = ({ survivors, uselessAccepts }: Mutation, most: number): boolean =>
  survivors.length <= most && uselessAccepts.length === 0;

/** The surviving mutants, one line each with the case that would detect it, and the counts. */
export function mutationLines(mutation: Mutation, isVerbose: boolean): readonly string[] {
  const { mutants, noticed, unloadable, survivors, accepted, uselessAccepts } = mutation;
  const refused = unloadable === 0 ? '' : ` (${unloadable} more refused by validation)`;
  return [
    ...survivors.flatMap((one) => survivorLines(one, 'survives')),
    ...(isVerbose ? accepted.flatMap((one) => survivorLines(one, 'accepted')) : []),
    ...uselessAccepts.map(
      ({ file, line, column, policy, mutant }) =>
        `${file}:${line}:${column}: \`${policy}\`: \`@accept\` names \`${mutant}\`, which does not survive`,
    ),
    `${findingCounts(mutants, 'mutant')}${refused}: ${noticed} noticed, ${survivors.length} survived, ${accepted.length} accepted`,
  ];
}

function survivorLines(
  { file, line, column, end, policy, what, mutant, wouldNotice }: Survivor,
  word: 'survives' | 'accepted',
): readonly string[] {
  const lines = end.line === line ? '' : `, to line ${end.line}`;
  return [
    `${file}:${line}:${column}: ${word}: \`${policy}\`${lines}: ${what} [${mutant}]`,
    ...(wouldNotice === null ? [] : [`  would be noticed by ${wouldNotice}`]),
  ];
}
