import type { FindingRecord } from '../../core/ledger/outcome-record.ts';
import { TokenBucket } from '../../core/runtime/collections/token-bucket.ts';

/** What kind of finding it is. */
export type FindingKind = FindingRecord['finding'];

/** For each kind: a burst of 20 findings, then 1 per second, are recorded individually. */
const RATE = { burst: 20, perSecond: 1 };
/** Time between two summaries of a kind. */
const SUMMARY_MS = 10_000;

/** Findings that were counted rather than recorded individually. */
export interface FindingSummary {
  readonly kind: FindingKind;
  readonly count: number;
  /** Time since the first of them. */
  readonly withinMs: number;
}

interface KindState {
  readonly bucket: TokenBucket;
  held: number;
  heldSinceMs: number;
}

/**
 * A token bucket that keeps a flood of findings out of the ledger: per kind, 20 in a burst and then 1 per second are recorded individually;
 * the rest is counted into a summary every 10 s. None is lost from the count.
 */
export class FindingBudget {
  readonly #monotonicMs: () => number;
  readonly #kinds = new Map<FindingKind, KindState>();

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  /** Whether a finding may be recorded individually. If not, it is counted. */
  take(kind: FindingKind): boolean {
    const state = this.#kinds.get(kind) ?? this.#begun(kind);
    if (state.bucket.take()) return true;
    if (state.held === 0) state.heldSinceMs = this.#monotonicMs();
    state.held += 1;
    return false;
  }

  #begun(kind: FindingKind): KindState {
    const bucket = new TokenBucket({ ...RATE, monotonicMs: this.#monotonicMs });
    const state = { bucket, held: 0, heldSinceMs: 0 };
    this.#kinds.set(kind, state);
    return state;
  }

  /** Counts per kind whose first finding was at least 10 s ago; with `isLast`, all of them. */
  summaries({ isLast }: { readonly isLast: boolean }): readonly FindingSummary[] {
    const nowMs = this.#monotonicMs();
    const due: FindingSummary[] = [];
    for (const [kind, state] of this.#kinds) {
      const withinMs = nowMs - state.heldSinceMs;
      if (state.held === 0 || !(isLast || withinMs >= SUMMARY_MS)) continue;
      due.push({ kind, count: state.held, withinMs });
      state.held = 0;
    }
    return due;
  }
}
