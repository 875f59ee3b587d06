import { entityKey, uidOfKey } from '../entities.ts';
import type { EntityUid } from '../entities.ts';
import type { Keyed } from './key.ts';
import { contextPlan, isRecord, partOf } from './plan.ts';
import type { Plan } from './plan.ts';
import type { PathReads, Reads } from './reads.ts';
import { member, scopeUid } from './scope.ts';

/** What of a question the engine is handed. */
export interface TrimmedQuestion {
  readonly context: unknown;
  readonly entities: readonly unknown[];
}

/** Projects the questions to one slice; `null` for one of which the engine needs everything. */
export type TrimQuestion = (question: Keyed) => TrimmedQuestion | null;

/**
 * Leaves of questions what policies with these reads look at: most of what an answer costs the engine is to read the question. The
 * key of what is left is the key of the question, so the answers are the same, by the argument of `keyFunction`. INVARIANT: only for
 * a question that the engine takes, since it refuses a whole one for one value that it cannot take.
 *
 * What is written of an entity is not told apart by name: where anything of it is read but what it is in, all of it is handed over.
 */
export function trimmerFor(reads: Reads): TrimQuestion {
  const { everything, roots } = reads;
  const plan = contextPlan(reads);
  const isEntityRead = [...roots].some(([name, path]) => name !== 'context' && readsEntity(name, path));
  if (everything || isEntityRead) return () => null;
  const asked = (['principal', 'action', 'resource'] as const).filter((name) => roots.get(name)?.ancestors === true);
  return (question) => {
    const context = projectedContext(question, plan);
    return context === NOT_LESS
      ? null
      : { context, entities: asked.map((name) => hierarchyOf(question, question[name])) };
  };
}

/** Of an entity that a policy names in its condition even what it is in comes with the others alone. */
const readsEntity = (name: string, { attrs, tags, allTags, ancestors }: PathReads): boolean =>
  attrs.size > 0 || tags.size > 0 || allTags || (ancestors && name.startsWith('entity '));

/** The entity as one that is in everything directly that it is in. */
function hierarchyOf(question: Keyed, uid: EntityUid): unknown {
  const own = entityKey(uid);
  const parents: EntityUid[] = [];
  for (const key of question.lineageOf(uid)) if (key !== own) parents.push(uidOfKey(key));
  return { uid, attrs: {}, parents };
}

/** In the place of a value below which something of an entity is read. */
const NOT_LESS = Symbol('not less');

function projectedContext(question: Keyed, plan: Plan): unknown {
  if (plan.whole) return projected(question.context, plan);
  return membersOf(plan, (name) => partOf(question, name));
}

function projected(value: unknown, plan: Plan): unknown {
  if (scopeUid(value) !== null) return plan.attrs.length > 0 || plan.ancestors || plan.tags ? NOT_LESS : value;
  if (plan.attrs.length === 0 || !isRecord(value)) return value;
  const members = membersOf(plan, (name) => member(value, name));
  return plan.whole && members !== NOT_LESS ? value : members;
}

function membersOf({ attrs }: Plan, valueOf: (name: string) => unknown): unknown {
  const members: [string, unknown][] = [];
  for (const [name, plan] of attrs) {
    const value = valueOf(name);
    if (value === undefined) continue;
    const left = projected(value, plan);
    if (left === NOT_LESS) return NOT_LESS;
    members.push([name, left]);
  }
  return Object.fromEntries(members);
}
