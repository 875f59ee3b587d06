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
   * `this`: this process delivers, for at least `signalLimits.heldMs` from now. `other`: another process does. `none`: nobody
   * does, or the claim of this process must be renewed by `claimSignals`.
   */
  readonly holder: 'this' | 'other' | 'none';
  readonly waiting: number;
  /** The instant of the oldest record that waits; `null` if none does. */
  readonly oldestMs: number | null;
  /** At most `signalLimits.maxAtOnce` signals, by rank (`signalRanks`) and then oldest first; after them those to be retried. */
  readonly signals: readonly QueuedSignal[];
}

/** The side effect of a claim. */
export interface SignalClaim {
  /** Signals that were deleted undelivered, since they were too old or too many waited. */
  readonly dropped: number;
}

/** Limits of the queue of each receiver. */
export const signalLimits = Object.freeze({
  /** Most receivers that are read from the state besides the configured receivers, of which there are at most as many. */
  maxReceivers: 64,
  /** Signals that wait. Of more, the oldest of the last rank (`signalRanks`) are deleted. */
  maxWaiting: 10_000,
  /** Signals of older records are deleted: a week. */
  maxAgeMs: 7 * 86_400_000,
  /** Most signals of a read, and most retried signals that it adds. */
  maxAtOnce: 32,
  maxAgain: 16,
  /** How long a claim holds, and how long it must still hold for a read to report it as held. */
  claimMs: 45_000,
  heldMs: 20_000,
  /** A receiver that no process has claimed for a day is forgotten, with what waits for it. */
  forgottenMs: 86_400_000,
  /**
   * A process forgets receivers only after it has pruned for this long without a gap (`gapMs`), so that after an outage each can
   * be claimed first.
   */
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
