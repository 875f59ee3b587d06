import { freshCedar, isTrap, warmUp } from './cedar.ts';
import type { Cedar } from './cedar.ts';

/** Policies in the engine's format. */
export type EnginePolicies = Parameters<Cedar['preparsePolicySet']>[1];

/** Policies that are evaluated together. */
export interface Pooled {
  /** Identifies them. The pool holds this object only, so that it keeps no policy set alive. */
  readonly key: object;
  /** Number of policies. */
  readonly size: number;
  /** Called when they are to be parsed. */
  readonly policies: () => EnginePolicies;
}

/** Capacity of the pool. */
export interface PoolBounds {
  readonly maxSlices: number;
  readonly maxPolicies: number;
}

const DEFAULT_BOUNDS: PoolBounds = { maxSlices: 256, maxPolicies: 20_000 };
const SCHEMA = 'schema';

/**
 * One instance of the engine with its parsed slices (LRU). The engine never frees a name, so the number of names is fixed: when a
 * slice needs room, the least recently used is evicted and its name reused. A slice of more than `maxPolicies` is held alone.
 */
export class SlicePool {
  readonly #fresh: () => Cedar;
  readonly #bounds: PoolBounds;
  #cedar: Cedar | null = null;
  /** In order of last use. */
  #parsed = new Map<object, { readonly name: string; readonly size: number }>();
  #free: string[] = [];
  #policies = 0;
  #schema: unknown = null;

  constructor(fresh: () => Cedar = freshCedar, bounds: PoolBounds = DEFAULT_BOUNDS) {
    this.#fresh = fresh;
    this.#bounds = bounds;
  }

  /** Current number of parsed slices and policies. */
  get sizes(): { readonly slices: number; readonly policies: number } {
    return { slices: this.#parsed.size, policies: this.#policies };
  }

  /**
   * Calls the engine. After a trap, which kills the instance, the next call creates a new instance.
   *
   * @throws whatever the engine throws
   */
  run<T>(call: (cedar: Cedar) => T): T {
    try {
      this.#cedar ??= this.#renewed();
      return call(this.#cedar);
    } catch (thrown) {
      if (isTrap(thrown)) this.#cedar = null;
      throw thrown;
    }
  }

  /**
   * Creates the instance and has it answer once, so that the first real question does not wait for that: about 0.1 s. An error
   * here recurs in the question, which reports it.
   */
  warm(): void {
    try {
      this.run((cedar) => warmUp.forEach((step) => step(cedar)));
    } catch {
      // The next call creates a new instance.
    }
  }

  /**
   * Releases all slices, so that a new set can use their memory. Those still in use are parsed again.
   *
   * @throws whatever the engine throws
   */
  clear(): void {
    this.run((cedar) => {
      for (const key of this.#parsed.keys()) this.#drop(cedar, key);
    });
  }

  #renewed(): Cedar {
    this.#parsed = new Map();
    this.#free = Array.from({ length: this.#bounds.maxSlices }, (_, index) => `slice${index}`);
    this.#policies = 0;
    this.#schema = null;
    return this.#fresh();
  }

  /**
   * The name under which the engine holds a slice parsed; `null` if it refuses the policies.
   *
   * @throws whatever the engine throws
   */
  nameOf(slice: Pooled): string | null {
    return this.run((cedar) => {
      const { key, size } = slice;
      const known = this.#parsed.get(key);
      if (known !== undefined) {
        this.#parsed.delete(key);
        this.#parsed.set(key, known);
        return known.name;
      }
      const name = this.#freeName(cedar, size);
      if (cedar.preparsePolicySet(name, slice.policies()).type === 'failure') {
        this.#free.push(name);
        return null;
      }
      this.#parsed.set(key, { name, size });
      this.#policies += size;
      return name;
    });
  }

  /**
   * The name under which the engine holds a schema parsed; `null` if it refuses it. Holds one schema at a time.
   *
   * @throws whatever the engine throws
   */
  schemaName(schema: unknown): string | null {
    return this.run((cedar) => {
      if (this.#schema === schema) return SCHEMA;
      this.#schema = null;
      if (cedar.preparseSchema(SCHEMA, schema as Parameters<Cedar['preparseSchema']>[1]).type === 'failure')
        return null;
      this.#schema = schema;
      return SCHEMA;
    });
  }

  #freeName(cedar: Cedar, size: number): string {
    const { maxPolicies } = this.#bounds;
    for (const key of this.#parsed.keys()) {
      if (this.#free.length > 0 && this.#policies + size <= maxPolicies) break;
      this.#drop(cedar, key);
    }
    const name = this.#free.pop();
    if (name === undefined) throw new Error('a pool must hold at least one slice');
    return name;
  }

  #drop(cedar: Cedar, key: object): void {
    const { name, size } = this.#parsed.get(key) ?? { name: '', size: 0 };
    // Parsing an empty set under the name frees what the engine held.
    cedar.preparsePolicySet(name, {});
    this.#parsed.delete(key);
    this.#free.push(name);
    this.#policies -= size;
  }
}
