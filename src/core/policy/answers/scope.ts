import { entityKey } from '../entities.ts';
import type { EntityUid } from '../entities.ts';

/** Alternatives for one variable of a scope: any test suffices; no test means that nothing matches. */
export type Constraint = readonly Test[];

/** A test of a variable against the entity it names. */
export type Test =
  | { readonly kind: 'any' }
  | { readonly kind: 'equal' | 'in'; readonly uid: EntityUid }
  | { readonly kind: 'is'; readonly type: string; readonly within: EntityUid | null };

/** The scope of a policy: it can apply only if all three constraints hold. */
export interface Scope {
  readonly principal: Constraint;
  readonly action: Constraint;
  readonly resource: Constraint;
}

/** The slots of a linked template, `?principal` and `?resource`. */
export type Slots = Readonly<Record<string, EntityUid>>;

/** A scope that matches everything. */
export const anyScope: Scope = Object.freeze({
  principal: [{ kind: 'any' }],
  action: [{ kind: 'any' }],
  resource: [{ kind: 'any' }],
} as const);

/**
 * The scope of a policy in Cedar's JSON format, or of a template with the slots of one link. An unknown constraint matches
 * everything, so that a slice may have a policy too many but never too few.
 */
export function scopeFrom(json: unknown, slots: Slots = {}): Scope {
  const constraint = (name: string): Constraint => constraintFrom(member(json, name), slots) ?? [{ kind: 'any' }];
  return { principal: constraint('principal'), action: constraint('action'), resource: constraint('resource') };
}

function constraintFrom(json: unknown, slots: Slots): Constraint | null {
  const uid = entityIn(json, slots);
  switch (member(json, 'op')) {
    case '==':
      return uid === null ? null : [{ kind: 'equal', uid }];
    case 'in': {
      const uids = uid === null ? uidsFrom(member(json, 'entities')) : [uid];
      return uids?.map((one) => ({ kind: 'in', uid: one })) ?? null;
    }
    case 'is': {
      const type = member(json, 'entity_type');
      const within = member(json, 'in');
      const group = entityIn(within, slots);
      if (typeof type !== 'string' || (within !== undefined && group === null)) return null;
      return [{ kind: 'is', type, within: group }];
    }
    default:
      return null;
  }
}

function entityIn(json: unknown, slots: Slots): EntityUid | null {
  const slot = member(json, 'slot');
  if (typeof slot === 'string') return Object.hasOwn(slots, slot) ? (slots[slot] ?? null) : null;
  return scopeUid(member(json, 'entity'));
}

function uidsFrom(json: unknown): readonly EntityUid[] | null {
  if (!Array.isArray(json)) return null;
  const uids = json.map(scopeUid);
  return uids.every((uid) => uid !== null) ? uids : null;
}

/** A name in Cedar's JSON format, with or without `__entity`; `null` for anything else. */
export function scopeUid(json: unknown): EntityUid | null {
  const written = member(json, '__entity') ?? json;
  const [type, id] = [member(written, 'type'), member(written, 'id')];
  return typeof type === 'string' && typeof id === 'string' ? { type, id } : null;
}

/** An own member of a value that need not be an object. */
export const member = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;

/** The index keys of a constraint, one per test. */
export const keysOfConstraint = (constraint: Constraint): readonly string[] =>
  constraint.map((test) => {
    if (test.kind === 'any') return '*';
    if (test.kind !== 'is') return `${test.kind} ${entityKey(test.uid)}`;
    return test.within === null ? `is ${test.type}` : `is ${test.type} in ${entityKey(test.within)}`;
  });

/**
 * The index keys of all tests that an entity passes.
 *
 * @param lineage keys of the entity and its ancestors
 */
export function keysOfEntity(uid: EntityUid, lineage: Iterable<string>): readonly string[] {
  const keys = ['*', `equal ${entityKey(uid)}`, `is ${uid.type}`];
  for (const key of lineage) keys.push(`in ${key}`, `is ${uid.type} in ${key}`);
  return keys;
}
