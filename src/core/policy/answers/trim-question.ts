import { entityKey, uidOfKey } from '../entities.ts';
import type { EntityUid } from '../entities.ts';
import type { Keyed } from './key.ts';
import { contextPlan, isRecord, partOf } from './plan.ts';
import type { Plan } from './plan.ts';
import type { PathReads, Reads } from './reads.ts';
import { member, scopeUid } from './scope.ts';

/** The part of a question that the engine receives. */
export interface TrimmedQuestion {
  readonly context: unknown;
  readonly entities: readonly unknown[];
}

/** Trims a question to one slice; `null` if the engine needs all of it. */
export type TrimQuestion = (question: Keyed) => TrimmedQuestion | null;

/**
 * Reduces questions to what policies read, because parsing the question is most of the engine's cost. The cache key of the
 * trimmed question equals that of the full question, so by the argument of `keyFunction` the answers are equal. INVARIANT: use it
 * only for questions the engine accepts: it rejects a whole question for one invalid value, even an unread value.
 *
 * Entity attributes are not trimmed separately: if more than ancestors is read of an entity, all entities are passed.
 */
export function trimmerFor(reads: Reads): TrimQuestion {
  const { everything, roots } = reads;
  const plan = contextPlan(reads);
  const isEntityRead = [...roots].some(([name, path]) => name !== 'context' && readsEntity(name, path));
  if (everything || isEntityRead) return () => null;
  const asked = (['principal', 'action', 'resource'] as const).filter((name) => roots.get(name)?.ancestors === true);
  return (question) => {
    const context = projectedContext(question, plan);
    return context === NOT_TRIMMABLE
      ? null
      : { context, entities: asked.map((name) => hierarchyOf(question, question[name])) };
  };
}

/** An entity literal in a condition also needs its stored data for `in`. */
const readsEntity = (name: string, { attrs, tags, allTags, ancestors }: PathReads): boolean =>
  attrs.size > 0 || tags.size > 0 || allTags || (ancestors && name.startsWith('entity '));

/** The entity as a direct member of all its ancestors. */
function hierarchyOf(question: Keyed, uid: EntityUid): unknown {
  const own = entityKey(uid);
  const parents: EntityUid[] = [];
  for (const key of question.lineageOf(uid)) if (key !== own) parents.push(uidOfKey(key));
  return { uid, attrs: {}, parents };
}

/** Marks a value below which entity data is read. */
const NOT_TRIMMABLE = Symbol('not trimmable');

function projectedContext(question: Keyed, plan: Plan): unknown {
  if (plan.whole) return projected(question.context, plan);
  return membersOf(plan, (name) => partOf(question, name));
}

function projected(value: unknown, plan: Plan): unknown {
  if (scopeUid(value) !== null) return plan.attrs.length > 0 || plan.ancestors || plan.tags ? NOT_TRIMMABLE : value;
  if (plan.attrs.length === 0 || !isRecord(value)) return value;
  const members = membersOf(plan, (name) => member(value, name));
  return plan.whole && members !== NOT_TRIMMABLE ? value : members;
}

function membersOf({ attrs }: Plan, valueOf: (name: string) => unknown): unknown {
  const members: [string, unknown][] = [];
  for (const [name, plan] of attrs) {
    const value = valueOf(name);
    if (value === undefined) continue;
    const trimmed = projected(value, plan);
    if (trimmed === NOT_TRIMMABLE) return NOT_TRIMMABLE;
    members.push([name, trimmed]);
  }
  return Object.fromEntries(members);
}
