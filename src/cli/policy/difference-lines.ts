import type { Difference, DifferenceExample, DifferenceGroup } from '../../core/shadow/difference.ts';

const SOURCES: Readonly<Record<Difference['source'], string>> = {
  candidate: 'of the candidate',
  shadow: 'of the shadow',
  ledger: 'in the ledger',
  cases: 'in the cases',
};

/** A group of equal differences for people. It shows what changes, by which policies, who does what, and examples. */
export function differenceLines<Example>(
  group: DifferenceGroup<Example>,
  exampleText: (example: Example) => string,
): readonly string[] {
  const { count, source, change, action, agent, intent, examples } = group;
  const former = sideOf(group.reason, group.formerIds);
  const other = sideOf(group.otherwise, group.policyIds);
  return [
    `${count} x ${change.replaceAll('-', ' ')} (${former} to ${other}) ${SOURCES[source]}`,
    `  ${action} by ${agent || 'an unknown agent'}${intent === null ? '' : ` for "${intent}"`}`,
    examplesLine(examples, exampleText),
  ];
}

const sideOf = (reason: string | null, ids: readonly string[]): string =>
  `${reason ?? 'allow'}${ids.length === 0 ? '' : ` by ${ids.join(', ')}`}`;

/** The examples of a group in one line. */
export const examplesLine = <Example>(examples: readonly Example[], text: (example: Example) => string): string =>
  `  such as ${examples.map(text).join(', ')}`;

/** A decision by time and id. */
export const decisionExample = ({ decisionId, atMs }: DifferenceExample): string =>
  `${new Date(atMs).toISOString()} ${decisionId ?? 'issue'}`;
