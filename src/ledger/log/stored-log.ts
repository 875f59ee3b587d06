import type { Carried, Seam } from '../seam.ts';
import type { StoredEntry, StoredLog } from '../verification.ts';
import type { LogReader } from './log-reader.ts';
import type { LogState } from './log-state.ts';

/**
 * A log of segments as a verifier reads it: where one segment ends and the next begins is a seam. INVARIANT: within one segment the checkpoints are read before the records they are of, so that
 * beside a running writer no checkpoint is seen whose records are not.
 */
export const storedLogOf = (log: LogReader): StoredLog => ({
  origin: log.origin,
  carried: carriedOf(log.carried),
  entries: () => entriesOf(log),
  checkpoints: () => log.checkpoints(),
});

function* entriesOf({ segments }: LogReader): Generator<StoredEntry | Seam> {
  for (const segment of segments) {
    yield { origin: segment.origin, carried: carriedOf(segment.carried) };
    yield* segment.leaves(1);
  }
}

/** A state of a log as a seam has it. */
export const carriedOf = ({ range, head }: LogState): Carried => ({
  ...range,
  prev: head.length === 0 ? null : head,
});
