import { freshCedar, isTrap } from './cedar.ts';
import type { Cedar } from './cedar.ts';

/** Policies in the form in which the engine takes them. */
export type EnginePolicies = Parameters<Cedar['preparsePolicySet']>[1];

/** Policies that are asked together; known by its identity. */
export interface Pooled {
  /** How many policies it has. */
  readonly size: number;
  /** Called when they are to be parsed. */
  readonly policies: () => EnginePolicies;
}

/** What is held parsed at most. */
export interface PoolBounds {
  readonly maxSlices: number;
  readonly maxPolicies: number;
}

const DEFAULT_BOUNDS: PoolBounds = { maxSlices: 256, maxPolicies: 20_000 };
const SCHEMA = 'schema';
const WARM = 'warm';

/**
 * One instance of the engine with the slices that it holds parsed. The engine never lets go of a name, so there is a fixed
 * number of them; the slice unused longest gives up its name, and its memory, when another one needs room. A single slice of
 * more than `maxPolicies` is held alone.
 */
export class SlicePool {
  readonly #fresh: () => Cedar;
  readonly #bounds: PoolBounds;
  #cedar: Cedar | null = null;
  /** In the order of their last use. */
  #held = new Map<Pooled, string>();
  #free: string[] = [];
  #policies = 0;
  #schema: unknown = null;

  constructor(fresh: () => Cedar = freshCedar, bounds: PoolBounds = DEFAULT_BOUNDS) {
    this.#fresh = fresh;
    this.#bounds = bounds;
  }

  /** What is held parsed at the moment. */
  get sizes(): { readonly slices: number; readonly policies: number } {
    return { slices: this.#held.size, policies: this.#policies };
  }

  /**
   * Calls the engine. After a trap, which leaves an instance dead, the next call meets a new one.
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
   * Makes the instance and has it answer once, so that the first question that counts does not wait for that: about 0.2 s.
   *
   * @throws whatever the engine throws
   */
  warm(): void {
    this.run((cedar) => {
      cedar.preparsePolicySet(WARM, { staticPolicies: { warm: 'permit (principal, action, resource);' } });
      cedar.statefulIsAuthorized({
        principal: { type: 'W', id: '' },
        action: { type: 'Action', id: '' },
        resource: { type: 'W', id: '' },
        context: {},
        entities: [],
        preparsedPolicySetId: WARM,
      });
    });
  }

  #renewed(): Cedar {
    this.#held = new Map();
    this.#free = Array.from({ length: this.#bounds.maxSlices }, (_, index) => `slice${index}`);
    this.#policies = 0;
    this.#schema = null;
    return this.#fresh();
  }

  /**
   * The name under which the engine has a slice parsed; `null` where it refuses the policies.
   *
   * @throws whatever the engine throws
   */
  nameOf(slice: Pooled): string | null {
    return this.run((cedar) => {
      const known = this.#held.get(slice);
      if (known !== undefined) {
        this.#held.delete(slice);
        this.#held.set(slice, known);
        return known;
      }
      const name = this.#freeName(cedar, slice.size);
      if (cedar.preparsePolicySet(name, slice.policies()).type === 'failure') {
        this.#free.push(name);
        return null;
      }
      this.#held.set(slice, name);
      this.#policies += slice.size;
      return name;
    });
  }

  /**
   * The name under which the engine has a schema parsed; `null` where it refuses it. One is held at a time.
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
    for (const [slice, name] of this.#held) {
      if (this.#free.length > 0 && this.#policies + size <= maxPolicies) break;
      // An empty set in its place frees what the engine holds.
      cedar.preparsePolicySet(name, {});
      this.#held.delete(slice);
      this.#free.push(name);
      this.#policies -= slice.size;
    }
    const name = this.#free.pop();
    if (name === undefined) throw new Error('a pool holds at least one slice');
    return name;
  }
}
