import type { SQLOutputValue } from 'node:sqlite';
import { rangeFrom } from '../proof/compact-range.ts';
import type { CompactRange } from '../proof/compact-range.ts';

/** The state of a log after a record: what is needed to append the next. */
export interface LogState {
  readonly range: CompactRange;
  /** Leaf hash of the last record; empty before the first. */
  readonly head: Uint8Array;
}

/** The state stored in two columns; throws if they are damaged. */
export const stateFrom = (range: SQLOutputValue | undefined, head: SQLOutputValue | undefined): LogState => ({
  range: mustRange(range),
  head: blob(head),
});

/** The tree stored in a column; throws if it is damaged. */
export function mustRange(value: SQLOutputValue | undefined): CompactRange {
  const range = rangeFrom(blob(value));
  if (range === null) throw new Error('the tree of a segment is damaged');
  return range;
}

/** Safe: the column is a BLOB in a STRICT table. */
const blob = (value: SQLOutputValue | undefined): Uint8Array => value as Uint8Array;
