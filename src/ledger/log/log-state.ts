import type { SQLOutputValue } from 'node:sqlite';
import { rangeFrom } from '../compact-range.ts';
import type { CompactRange } from '../compact-range.ts';

/** Where a log stands after a record: what the tree and the next record need. */
export interface LogState {
  readonly range: CompactRange;
  /** Leaf hash of the last record; empty before the first. */
  readonly head: Uint8Array;
}

/** The state that two columns hold; throws where they are damaged. */
export const stateFrom = (range: SQLOutputValue | undefined, head: SQLOutputValue | undefined): LogState => ({
  range: mustRange(range),
  head: blob(head),
});

/** The tree that a column holds; throws where it is damaged. */
export function mustRange(value: SQLOutputValue | undefined): CompactRange {
  const range = rangeFrom(blob(value));
  if (range === null) throw new Error('the tree of a segment is damaged');
  return range;
}

/** STRICT: the column is a BLOB. */
const blob = (value: SQLOutputValue | undefined): Uint8Array => value as Uint8Array;
