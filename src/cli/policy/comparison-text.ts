import type { PolicySet } from '../../core/policy/loading/load.ts';
import type { PolicySetChanges, SetChanges } from '../../tools/policy/compare/set-changes.ts';
import type { ComparedExample, ComparisonReport, CountedAlike } from '../../tools/policy/compare/comparison.ts';
import { limitDiffLines } from './diffed-limits.ts';
import type { DiffedLimits } from './diffed-limits.ts';
import { decisionExample, differenceLines, examplesLine } from './difference-lines.ts';
import { findingCounts } from './finding-lines.ts';

/** Two policy sets by path, and their comparison. */
export interface Compared {
  readonly paths: readonly [string, string];
  readonly sets: readonly [PolicySet, PolicySet];
  readonly report: ComparisonReport;
  /** What limits would have denied; `null` if there are none, or no records were read. */
  readonly limits: DiffedLimits | null;
}

/** A comparison as one JSON object. */
export function comparedJson({ paths, sets, report, limits }: Compared): unknown {
  const [before, after] = sets.map(({ hash, policies }, index) => ({
    path: paths[index],
    hash,
    policies: policies.length,
  }));
  return { old: before, new: after, ...report, limits };
}

/** A comparison for people: differences between the sets, then between their decisions, then what was not compared. */
export function comparedLines({ paths, sets, report, limits }: Compared): readonly string[] {
  const { changes, compared, groups, ungrouped, notRepeatable, skipped } = report;
  const more = ungrouped === 0 ? '' : ` and ${ungrouped} more differences of other kinds`;
  return [
    ...sets.map(
      ({ hash, policies }, index) =>
        `${index === 0 ? 'old' : 'new'}: ${paths[index]}, ${findingCounts(policies.length, 'policy', 'policies')}, set ${hash}`,
    ),
    ...changeLines(changes),
    ...groups.flatMap((group) => differenceLines(group, exampleText)),
    ...limitDiffLines(limits),
    ...groupLines(
      'not repeatable',
      notRepeatable,
      ({ action, missing }) => `${action}, missing: ${missing.join(', ')}`,
    ),
    ...groupLines('skipped', skipped, ({ why }) => why),
    `${findingCounts(compared, 'decision')} compared, ${notRepeatable.count} not repeatable, ${skipped.count} skipped: ` +
      `${findingCounts(groups.length, 'kind')} of difference${more}`,
  ];
}

/** How two sets differ, a line for each kind of things, and one for other files if any differs. */
export const changeLines = (changes: SetChanges): readonly string[] => [
  ...(['policies', 'actions', 'entities', 'observed', 'limits'] as const).map(
    (what) => `${what}: ${changesText(changes[what])}`,
  ),
  ...(changesText(changes.files) === SAME ? [] : [`other files: ${changesText(changes.files)}`]),
];

const SAME = 'the same';

function changesText(changes: PolicySetChanges): string {
  const said = (['added', 'removed', 'changed'] as const).flatMap((how) =>
    changes[how].length === 0 ? [] : [`${how} ${namesText(changes[how])}`],
  );
  return said.length === 0 ? SAME : said.join('; ');
}

const MAX_NAMES = 10;

/** Names in one line, truncated to fit. */
const namesText = (names: readonly string[]): string =>
  names.length > MAX_NAMES
    ? `${names.slice(0, MAX_NAMES).join(', ')} and ${names.length - MAX_NAMES} more`
    : names.join(', ');

const groupLines = <Alike>(
  title: string,
  { groups }: CountedAlike<Alike>,
  text: (alike: Alike) => string,
): readonly string[] =>
  groups.flatMap((group) => [`${title}: ${group.count} x ${text(group)}`, examplesLine(group.examples, exampleText)]);

function exampleText(example: ComparedExample): string {
  if ('decisionId' in example) return decisionExample(example);
  return 'seq' in example ? `record ${example.seq}` : `${example.file}:${example.line} ${example.name}`;
}
