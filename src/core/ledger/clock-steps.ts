import type { LedgerLeaf } from './proof/leaf.ts';

/** A smaller step back cannot be distinguished from a slewed clock. */
const TOLERANCE_MS = 1_000;

/** Detects backward steps of the wall clock from records in log order. */
export interface ClockSteps {
  /** How far the clock is known to have stepped back when this record was written, in milliseconds; `null` if it did not. */
  readonly see: (leaf: Pick<LedgerLeaf, 'boot' | 'mono' | 'record'>) => number | null;
}

/**
 * Distinguishes backward clock steps from records that were merely written late. A record is dated when its event happens and may wait
 * in queues, an outbox or for the disk, so instants out of order prove nothing. Only a checkpoint is dated when it is written.
 * The clock stepped back by more than a second if
 *
 * - a checkpoint claims an earlier instant than the monotonic clock gives it since the last checkpoint of the same process, or
 * - a record before a checkpoint claims a later instant than that checkpoint.
 *
 * Records after the last checkpoint are judged once the next checkpoint exists. Each step is reported once, although later records may
 * go on to claim later instants while tasks use the clock floor (`core/state/clock-floor.ts`).
 */
export function clockSteps(): ClockSteps {
  let before: { readonly boot: string; readonly aheadMs: number } | null = null;
  let latestMs = Number.NEGATIVE_INFINITY;
  /** The largest lag of checkpoints behind earlier records so far. */
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
