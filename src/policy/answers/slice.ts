import { LRUCache } from 'lru-cache';
import { keysOfConstraint } from './scope.ts';
import type { Scope } from './scope.ts';

/** The policies that can hold for a question; every other one fails by its scope alone. */
export interface Slice {
  /** Of one index, two slices of the same name have the same policies. */
  readonly name: string;
  /** Indices of the policies, ascending. */
  readonly members: readonly number[];
}

/** The tests that the entities of one question pass, as `keysOfEntity` gives them. */
export interface ScopeKeys {
  readonly principal: readonly string[];
  readonly action: readonly string[];
  readonly resource: readonly string[];
}

/** Policies of one and the same scope. */
interface Bucket {
  readonly number: number;
  readonly members: number[];
}

type Level<T> = Map<string, T>;

/** Slices that are kept; the one unused longest is put together anew when it is asked for. */
const MAX_SLICES = 4096;

/**
 * Finds the policies whose scope can match. To leave the others out changes neither decision, nor reasons, nor errors, since
 * the scope is evaluated first and what fails there is evaluated no further. The cost of a look-up grows with the groups that
 * the entities of the question are in, and not with the policies.
 *
 * @see cedar-spec, Cedar/Thm/PolicySlice.lean: `isAuthorized_eq_for_sound_policy_slice`, `scope_bound_is_sound`
 */
export class SliceIndex {
  readonly #actions: Level<Level<Level<Bucket>>> = new Map();
  readonly #slices = new LRUCache<string, Slice>({ max: MAX_SLICES });
  #buckets = 0;

  constructor(scopes: readonly Scope[]) {
    for (const [index, scope] of scopes.entries()) this.#add(index, scope);
  }

  #add(index: number, scope: Scope): void {
    for (const action of keysOfConstraint(scope.action)) {
      const principals = getOrAdd(this.#actions, action, () => new Map<string, Level<Bucket>>());
      for (const principal of keysOfConstraint(scope.principal)) {
        const resources = getOrAdd(principals, principal, () => new Map<string, Bucket>());
        for (const resource of keysOfConstraint(scope.resource)) {
          getOrAdd(resources, resource, () => ({ number: this.#buckets++, members: [] })).members.push(index);
        }
      }
    }
  }

  /** How many slices were asked for and are kept. */
  get size(): number {
    return this.#slices.size;
  }

  /** The slice of a question. */
  sliceFor(keys: ScopeKeys): Slice {
    const buckets = this.#matching(keys).sort((left, right) => left.number - right.number);
    const name = buckets.map(({ number }) => number).join(',');
    const known = this.#slices.get(name);
    if (known !== undefined) return known;
    const members = new Set(buckets.flatMap((bucket) => bucket.members));
    const slice = { name, members: [...members].sort((left, right) => left - right) };
    this.#slices.set(name, slice);
    return slice;
  }

  #matching(keys: ScopeKeys): Bucket[] {
    return found(this.#actions, keys.action)
      .flatMap((principals) => found(principals, keys.principal))
      .flatMap((resources) => found(resources, keys.resource));
  }
}

const found = <T>(level: Level<T>, keys: readonly string[]): T[] => keys.flatMap((key) => level.get(key) ?? []);

/** The value of a key, added where there is none. */
export function getOrAdd<K, T>(level: Map<K, T>, key: K, make: () => T): T {
  const known = level.get(key);
  if (known !== undefined) return known;
  const made = make();
  level.set(key, made);
  return made;
}
