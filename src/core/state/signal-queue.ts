/** The queue of signals for each receiver: ends, stops and stolen tokens that are still to be sent. */
import type { EncodedRecord } from '../ledger/encoded-record.ts';

/** A record that is sent to a receiver as a signal. */
export interface QueuedSignal {
  /** Its number in the queue; numbers are not reused. */
  readonly seq: number;
  /** The record, as the ledger has it. */
  readonly record: EncodedRecord;
}

/** What waits for a receiver, and who delivers it. */
export interface SignalQueue {
  /**
   * `this` process delivers, for at least `signalLimits.heldMs` from now; an`other` does; `none` does, or the claim of this process is to be
   * renewed by `claimSignals`.
   */
  readonly holder: 'this' | 'other' | 'none';
  readonly waiting: number;
  /** The instant of the oldest record that waits; `null` if none does. */
  readonly oldestMs: number | null;
  /** The oldest of the first rank (`signalRanks`), at most `signalLimits.maxAtOnce`, and then those that are to be tried again. */
  readonly signals: readonly QueuedSignal[];
}

/** What a claim did beside. */
export interface SignalClaim {
  /** Signals that were deleted undelivered, since they were too old or too many waited. */
  readonly dropped: number;
}

/** Limits of the queue of each receiver. */
export const signalLimits = Object.freeze({
  /** Receivers that are read of the state beside those of the configuration, which has at most as many. */
  maxReceivers: 64,
  /** Signals that wait. Of more, the oldest of the last rank (`signalRanks`) are deleted. */
  maxWaiting: 10_000,
  /** Signals of older records are deleted: a week. */
  maxAgeMs: 7 * 86_400_000,
  /** Signals of a read, and those that failed before which it gives beside. */
  maxAtOnce: 32,
  maxAgain: 16,
  /** How long a claim holds, and for how long at least a read says that it does. */
  claimMs: 45_000,
  heldMs: 20_000,
  /** A receiver that no process has claimed for a day is forgotten, with what waits for it. */
  forgottenMs: 86_400_000,
  /** A process forgets none before it has pruned for so long without a gap: after an outage each is claimed first. */
  graceMs: 600_000,
  gapMs: 60_000,
});

/** Since when a process prunes without a gap, and when it did last. Milliseconds since the Unix epoch. */
export interface PrunedSince {
  readonly sinceMs: number;
  readonly lastMs: number;
}

/** The same after another step of pruning. */
export const prunedAt = (before: PrunedSince | null, nowMs: number): PrunedSince =>
  before === null || Math.abs(nowMs - before.lastMs) > signalLimits.gapMs
    ? { sinceMs: nowMs, lastMs: nowMs }
    : { sinceMs: before.sinceMs, lastMs: nowMs };

/** Whether a step of pruning forgets receivers. */
export const forgetsReceivers = ({ sinceMs, lastMs }: PrunedSince): boolean => lastMs - sinceMs >= signalLimits.graceMs;
