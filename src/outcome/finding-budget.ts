import type { FindingRecord } from '../ledger/record.ts';

/** What kind of finding it is. */
export type FindingKind = FindingRecord['finding'];

/** Findings of a kind that are recorded one by one at once. */
const BURST = 20;
/** Time after which one more is recorded. */
const REFILL_MS = 1_000;
/** Time between two summaries of a kind. */
const SUMMARY_MS = 10_000;

/** Findings that were counted and not recorded one by one. */
export interface FindingSummary {
  readonly kind: FindingKind;
  readonly count: number;
  /** On the clock of the calls. */
  readonly sinceMs: number;
}

interface Bucket {
  left: number;
  filledMs: number;
  held: number;
  heldSinceMs: number;
}

/**
 * Keeps a flood of findings out of the ledger: of each kind 20 at once and one a second are recorded by themselves, and what
 * is over is counted into a summary every 10 s. None is lost from the count.
 */
export class FindingBudget {
  readonly #buckets = new Map<FindingKind, Bucket>();

  /** Whether a finding may be recorded by itself; where not, it is counted. `nowMs` is on a monotonic clock. */
  take(kind: FindingKind, nowMs: number): boolean {
    const bucket = this.#buckets.get(kind) ?? { left: BURST, filledMs: nowMs, held: 0, heldSinceMs: nowMs };
    this.#buckets.set(kind, bucket);
    const refills = Math.floor((nowMs - bucket.filledMs) / REFILL_MS);
    bucket.left = Math.min(BURST, bucket.left + refills);
    bucket.filledMs += refills * REFILL_MS;
    if (bucket.left > 0) {
      bucket.left -= 1;
      return true;
    }
    if (bucket.held === 0) bucket.heldSinceMs = nowMs;
    bucket.held += 1;
    return false;
  }

  /** What was counted, of each kind whose first was counted 10 s ago or more; `isLast` takes all of it. */
  summaries(nowMs: number, { isLast }: { readonly isLast: boolean }): readonly FindingSummary[] {
    const due: FindingSummary[] = [];
    for (const [kind, bucket] of this.#buckets) {
      if (bucket.held === 0 || !(isLast || nowMs - bucket.heldSinceMs >= SUMMARY_MS)) continue;
      due.push({ kind, count: bucket.held, sinceMs: bucket.heldSinceMs });
      bucket.held = 0;
    }
    return due;
  }
}
