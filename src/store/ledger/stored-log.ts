import type { Seam, StoredEntry, StoredLog } from '../../ledger/verification.ts';
import type { LogReader } from './log-reader.ts';
import type { LogState } from './segment.ts';

/**
 * A log of segments as a verifier reads it: where one segment ends and the next begins is a seam, and each record comes with
 * what its row says of it. INVARIANT: within one segment the checkpoints are read before the records they are of, so that
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
    for (const { seq, bytes, ...listed } of segment.rows()) yield { seq, bytes, listed };
  }
}

const carriedOf = ({ range, head }: LogState): StoredLog['carried'] => ({
  ...range,
  prev: head.length === 0 ? null : head,
});
