import type { CarriedTree, Seam } from '../proof/seam.ts';
import type { StoredEntry, StoredLog } from '../proof/verification.ts';
import type { LogReader } from './log-reader.ts';
import type { LogState } from './log-state.ts';

/**
 * A segmented log as a verifier reads it; a seam is the boundary between two segments. INVARIANT: within a segment,
 * checkpoints are read before their records, so that beside a running writer no checkpoint is seen without its records.
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

/** A log's state in the form of a seam. */
export const carriedOf = ({ range, head }: LogState): CarriedTree => ({
  ...range,
  prev: head.length === 0 ? null : head,
});
