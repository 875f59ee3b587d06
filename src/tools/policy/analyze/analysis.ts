/** Compares what two sets allow, action by action, by proof. */
import type { Catalog } from '../../../core/action/catalog/catalog.ts';
import { freshCedar } from '../../../core/policy/cedar.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import { NAMESPACE } from '../../../core/policy/namespace.ts';
import { mapSeveral } from '../../../core/runtime/collections/map-several.ts';
import { byName, setChanges } from '../compare/set-changes.ts';
import { rawAsker } from '../cases/raw-question.ts';
import type { RawAnswer, RawQuestion } from '../cases/raw-question.ts';
import { sliceOf, withoutAlike } from './action-slice.ts';
import { assumptionsOf } from './assumptions.ts';
import { impliedBy } from './implication.ts';
import type { AnalysedSet, AnalysisVerdict } from './implication.ts';
import type { Prover } from './prover.ts';

/** How the entry of an action differs between the catalogs of two sets; it is judged by the entry of the new set, if there is any. */
export type EntryChange = 'same' | 'changed' | 'added' | 'removed';

/** What two sets allow of one action. */
export interface ActionComparison {
  readonly action: string;
  readonly entry: EntryChange;
  /** Whether everything that the new set allows was allowed. */
  readonly gained: AnalysisVerdict;
  /** Whether everything that was allowed still is. */
  readonly lost: AnalysisVerdict;
}

/** Provers by set: each has the schema of its set. */
export interface Provers {
  readonly former: Prover;
  readonly other: Prover;
}

/** How an analysis is run. */
export interface AnalysisOptions {
  /** Questions at the same time. */
  readonly atOnce: number;
  /** Only these actions; `null` for all that the sets decide by different policies. */
  readonly actions: readonly string[] | null;
  readonly onProgress: (done: number, all: number) => void;
}

/** The action that asks whether a token may be issued. */
export const ISSUE = 'issue';

/** What the resource of an action is. */
export const resourceTypeOf = (action: string): string => `${NAMESPACE}::${action === ISSUE ? 'Server' : 'Endpoint'}`;

/** The actions of a catalog that are analysed, with `issue`. */
export const analysedActions = ({ actions }: Catalog): readonly string[] => [ISSUE, ...actions.keys()];

/** A function that makes the part of a set about an action; the engine is started when it is first asked. */
export function analysed(set: PolicySet): (action: string) => AnalysedSet {
  let asker: ((question: RawQuestion) => RawAnswer) | null = null;
  const answerOf = (question: RawQuestion): RawAnswer => (asker ??= rawAsker(set))(question);
  return (action) => ({ policies: sliceOf(set, action), answerOf });
}

/**
 * What is newly allowed and what no longer is, action by action, for actions of which a policy, the entry of the catalog or a
 * fact shared by all actions differs. Shadow policies are left out; links of templates are the policies that they make. A proof
 * has one catalog and no entities, so between sets that differ in these, only a set without a permit is proved to allow nothing
 * more.
 */
export function compareSets(
  [former, other]: readonly [PolicySet, PolicySet],
  provers: Provers,
  { atOnce, actions, onProgress }: AnalysisOptions,
): Promise<readonly ActionComparison[]> {
  const [before, after] = [analysed(former), analysed(other)];
  const cedar = freshCedar();
  const { entryOf, isShared } = factsBeside([former, other]);
  const isAlike = (action: string): boolean => isShared && entryOf(action) === 'same';
  const isTouched = touchedBy([former, other]);
  const all = [...new Set([...analysedActions(former.catalog), ...analysedActions(other.catalog)])];
  const asked = all.filter((action) =>
    actions === null ? !isAlike(action) || isTouched(action) : actions.includes(action),
  );
  let done = 0;
  return mapSeveral(asked, atOnce, async (action) => {
    const entry = entryOf(action);
    const prover = entry === 'removed' ? provers.former : provers.other;
    const { catalog } = entry === 'removed' ? former : other;
    const shared = { action, resourceType: resourceTypeOf(action), assumptions: assumptionsOf(action, catalog), cedar };
    const verdictOf = async (from: AnalysedSet, to: AnalysedSet): Promise<AnalysisVerdict> => {
      const verdict = await impliedBy(prover, { ...shared, from, to });
      const isSure = isAlike(action) || from.policies.every(({ effect }) => effect === 'forbid');
      return verdict.kind === 'proved' && !isSure ? { kind: 'undecided', tried: [judgedBy(entry)] } : verdict;
    };
    const result = {
      action,
      entry,
      gained: await verdictOf(after(action), before(action)),
      lost: await verdictOf(before(action), after(action)),
    };
    done += 1;
    onProgress(done, asked.length);
    return result;
  });
}

const judgedBy = (entry: EntryChange): string =>
  `catalog or entities differ; both sets were judged by those of ${entry === 'removed' ? 'OLD' : 'NEW'}`;

/**
 * A function that says whether sets decide about an action by different policies. Slices are compared only for actions of a policy that one set
 * lacks: with a shared catalog and shared entities the others are the same.
 */
function touchedBy(sets: readonly [PolicySet, PolicySet]): (action: string) => boolean {
  const [former, other] = [enforcedOf(sets[0]), enforcedOf(sets[1])];
  const changed = [
    { ...sets[0], policies: withoutAlike(former, other) },
    { ...sets[1], policies: withoutAlike(other, former) },
  ];
  return (action) => {
    if (changed.every((set) => sliceOf(set, action).length === 0)) return false;
    const [before, after] = [sliceOf(sets[0], action), sliceOf(sets[1], action)];
    return withoutAlike(before, after).length + withoutAlike(after, before).length > 0;
  };
}

const enforcedOf = ({ policies }: PolicySet): PolicySet['policies'] => policies.filter(({ shadow }) => !shadow);

/** How two sets differ apart from policies: by action, and whether entities, time zones and subject attributes are shared. */
function factsBeside(sets: readonly [PolicySet, PolicySet]): {
  readonly entryOf: (action: string) => EntryChange;
  readonly isShared: boolean;
} {
  const { actions, entities } = setChanges(...sets);
  const entries = new Map<string, EntryChange>(
    (['added', 'removed', 'changed'] as const).flatMap((how) => actions[how].map((action) => [action, how] as const)),
  );
  const isSame = (textOf: (catalog: Catalog) => string): boolean => textOf(sets[0].catalog) === textOf(sets[1].catalog);
  if (!isSame(grantedText)) entries.set(ISSUE, 'changed');
  return {
    entryOf: (action) => entries.get(action) ?? 'same',
    isShared: Object.values(entities).every((names) => names.length === 0) && isSame(termsText),
  };
}

/** What a request for a token takes from the catalog. */
const grantedText = ({ actions, servers }: Catalog): string =>
  JSON.stringify([
    Array.from(actions.values(), ({ id, risk, server }) => `${id} ${risk} ${server.id}`).toSorted(),
    Array.from(servers.values(), ({ id, attributes }) => `${id} ${JSON.stringify([...attributes])}`).toSorted(),
  ]);

/** What every question takes from the catalog, whichever of its files it is in. */
const termsText = ({ timeZones, subjectAttributes }: Catalog): string =>
  JSON.stringify([timeZones, subjectAttributes].map(byName));
