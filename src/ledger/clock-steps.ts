import type { LedgerLeaf } from './leaf.ts';

/** A wall clock that stepped back by less is not told from one that is kept right in small steps. */
const TOLERANCE_MS = 1_000;

/** Finds where the wall clock was set back, in the order of the records. */
export interface ClockSteps {
  /** By how much the clock is known to have stepped back when this record was written; `null` for not at all. Milliseconds. */
  readonly see: (leaf: Pick<LedgerLeaf, 'boot' | 'mono' | 'record'>) => number | null;
}

/**
 * Tells a clock that stepped back from records that were merely written in another order. A record says when something happened, and
 * waits in queues, in an outbox or through a fault of the disk before it is written, so instants out of order say nothing. The
 * checkpoint alone is written at the instant it claims. So the clock stepped back where, by more than a second,
 *
 * - a checkpoint claims an earlier instant than its process's monotonic clock gives it since the checkpoint before, or
 * - a record before a checkpoint, which can have happened only before it was written, claims a later instant than that checkpoint.
 *
 * What is after the last checkpoint is looked at once there is a next one. Each step is told once, although records go on to claim
 * later instants for as long as tasks are judged by a clock that does not step (`state/clock-floor.ts`).
 */
export function clockSteps(): ClockSteps {
  let before: { readonly boot: string; readonly aheadMs: number } | null = null;
  let latestMs = Number.NEGATIVE_INFINITY;
  /** The most that checkpoints were behind earlier records since they came to be; 0 where they are not. */
  let behindMs = 0;
  return {
    see: ({ boot, mono, record }) => {
      const { at, kind } = record;
      if (typeof at !== 'number') return null;
      if (kind !== 'checkpoint') {
        latestMs = Math.max(latestMs, at);
        return null;
      }
      const aheadMs = at - mono;
      const setBackMs = before?.boot === boot ? before.aheadMs - aheadMs : 0;
      const nowBehindMs = latestMs - at;
      const isFurtherBehind = nowBehindMs > behindMs + TOLERANCE_MS;
      before = { boot, aheadMs };
      latestMs = Math.max(latestMs, at);
      behindMs = nowBehindMs > TOLERANCE_MS ? Math.max(behindMs, nowBehindMs) : 0;
      if (setBackMs > TOLERANCE_MS) return setBackMs;
      return isFurtherBehind ? nowBehindMs : null;
    },
  };
}
