import { isProblem } from '../../../core/runtime/problem.ts';
import { leafFrom } from '../../../core/ledger/proof/leaf.ts';

/** How often a policy decided, and when for the last time. */
export interface PolicyUse {
  readonly count: number;
  /** Milliseconds since the Unix epoch. */
  readonly lastMs: number;
}

/**
 * Counts by which policies records were decided: uses, observed uses by what enforcing would have answered, and intents. A permit that a
 * forbid overruled is not named by a record, and does not count.
 */
export class PolicyUses {
  readonly #uses = new Map<string, PolicyUse>();
  #firstMs = Infinity;

  /** Adds a leaf; leaves that cannot be read and records of other kinds are left out. */
  add(bytes: Uint8Array): void {
    const leaf = leafFrom(bytes);
    if (isProblem(leaf)) return;
    const { at, kind, policyIds, would } = leaf.record;
    if (typeof at !== 'number' || (kind !== 'use' && kind !== 'intent')) return;
    this.#firstMs = Math.min(this.#firstMs, at);
    for (const id of new Set([...textsIn(policyIds), ...textsIn(memberOf(would, 'policyIds'))])) {
      const { count, lastMs } = this.#uses.get(id) ?? { count: 0, lastMs: at };
      this.#uses.set(id, { count: count + 1, lastMs: Math.max(lastMs, at) });
    }
  }

  /** `null` if the policy decided no record. */
  of(policyId: string): PolicyUse | null {
    return this.#uses.get(policyId) ?? null;
  }

  /** Instant of the oldest record that was counted; `null` if there is none. */
  get sinceMs(): number | null {
    return Number.isFinite(this.#firstMs) ? this.#firstMs : null;
  }
}

const textsIn = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];

const memberOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Object.entries(value).find(([key]) => key === name)?.[1] : undefined;
