import { setImmediate } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import { upTo } from '../../runtime/collections/up-to.ts';
import { keysOfConstraint } from './scope.ts';
import type { Scope } from './scope.ts';

/** The policies that can apply to a question; all others fail by their scope. */
export interface Slice {
  /** Within one index, slices of equal name have the same policies. */
  readonly name: string;
  /** Policy indices, ascending. */
  readonly members: readonly number[];
}

/** The tests that a question's entities pass, from `keysOfEntity`. */
export interface ScopeKeys {
  readonly principal: readonly string[];
  readonly action: readonly string[];
  readonly resource: readonly string[];
}

/** Policies with the same scope. */
interface Bucket {
  readonly number: number;
  readonly members: number[];
}

type Level<T> = Map<string, T>;

const SCOPES_PER_TURN = 128;
/** Most slices kept (LRU); an evicted slice is built again when needed. */
const MAX_SLICES = 4096;

/**
 * Finds the policies whose scope can match a question. Leaving out the others changes neither decision, reasons nor errors,
 * because scopes are evaluated first and a failed scope ends the evaluation. The cost of a look-up grows with the number of
 * ancestors of the question's entities, not with the number of policies.
 *
 * @see cedar-spec, Cedar/Thm/PolicySlice.lean: `isAuthorized_eq_for_sound_policy_slice`, `scope_bound_is_sound`
 */
export class SliceIndex {
  readonly #actions: Level<Level<Level<Bucket>>> = new Map();
  readonly #slices = new LRUCache<string, Slice>(upTo(MAX_SLICES));
  #buckets = 0;

  constructor(scopes: readonly Scope[]) {
    for (const [index, scope] of scopes.entries()) this.#add(index, scope);
  }

  /** Builds an index in many turns of the event loop: 10,000 policies in one turn take 40 ms. */
  static async inTurns(scopes: readonly Scope[]): Promise<SliceIndex> {
    const index = new SliceIndex([]);
    for (const [at, scope] of scopes.entries()) {
      if (at % SCOPES_PER_TURN === 0) await setImmediate();
      index.#add(at, scope);
    }
    return index;
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

  /** Number of slices kept. */
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

/** The value of a key, added if it is missing. */
export function getOrAdd<K, T>(level: Map<K, T>, key: K, make: () => T): T {
  const known = level.get(key);
  if (known !== undefined) return known;
  const made = make();
  level.set(key, made);
  return made;
}
