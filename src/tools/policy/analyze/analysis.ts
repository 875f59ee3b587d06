/** Compares what two sets allow, action by action, by proof. */
import type { Catalog } from '../../../core/action/catalog/catalog.ts';
import { freshCedar } from '../../../core/policy/cedar.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import { NAMESPACE } from '../../../core/policy/namespace.ts';
import { mapSeveral } from '../../../core/runtime/collections/map-several.ts';
import { rawAsker } from '../cases/raw-question.ts';
import type { RawAnswer, RawQuestion } from '../cases/raw-question.ts';
import { sliceOf, withoutAlike } from './action-slice.ts';
import { assumptionsOf } from './assumptions.ts';
import { impliedBy } from './implication.ts';
import type { AnalysedSet, Implication, AnalysisVerdict } from './implication.ts';
import type { Prover } from './prover.ts';

/** How the entry of an action differs between the catalogs of two sets; it is judged by that of the new set, if it has one. */
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
 * What may be allowed now that was not, and the reverse, action by action: those for which a policy or the entry of the catalog differs. Shadow
 * policies are left out; links of templates are the policies that they make.
 */
export function compareSets(
  [former, other]: readonly [PolicySet, PolicySet],
  provers: Provers,
  { atOnce, actions, onProgress }: AnalysisOptions,
): Promise<readonly ActionComparison[]> {
  const [before, after] = [analysed(former), analysed(other)];
  const cedar = freshCedar();
  const all = [...new Set([...analysedActions(former.catalog), ...analysedActions(other.catalog)])];
  const asked = all.filter((action) =>
    actions === null ? isTouched(action, [former, other]) : actions.includes(action),
  );
  let done = 0;
  return mapSeveral(asked, atOnce, async (action) => {
    const entry = entryChange(action, [former, other]);
    const prover = entry === 'removed' ? provers.former : provers.other;
    const { catalog } = entry === 'removed' ? former : other;
    const shared = { action, resourceType: resourceTypeOf(action), assumptions: assumptionsOf(action, catalog), cedar };
    const sides = (from: AnalysedSet, to: AnalysedSet): Implication => ({ ...shared, from, to });
    const result = {
      action,
      entry,
      gained: await impliedBy(prover, sides(after(action), before(action))),
      lost: await impliedBy(prover, sides(before(action), after(action))),
    };
    done += 1;
    onProgress(done, asked.length);
    return result;
  });
}

/** Whether sets decide about an action by different policies, or have different entries of it. */
function isTouched(action: string, [former, other]: readonly [PolicySet, PolicySet]): boolean {
  if (entryChange(action, [former, other]) !== 'same') return true;
  const [before, after] = [sliceOf(former, action), sliceOf(other, action)];
  return withoutAlike(before, after).length + withoutAlike(after, before).length > 0;
}

function entryChange(action: string, sets: readonly [PolicySet, PolicySet]): EntryChange {
  if (action === ISSUE) return 'same';
  const [before, after] = sets.map(({ catalog }) => entryText(catalog, action));
  if (before === after) return 'same';
  return before === null ? 'added' : after === null ? 'removed' : 'changed';
}

/** What a question about an action takes from the catalog. */
function entryText({ actions }: Catalog, id: string): string | null {
  const action = actions.get(id);
  if (action === undefined) return null;
  const { server, endpoint, risk, labels, attributes, args } = action;
  const given = args.map(({ name, type, required }) => [name, type, required]);
  return JSON.stringify([server.id, endpoint, risk, [...labels].toSorted(), [...attributes], given]);
}
