import { isProblem } from '../runtime/problem.ts';
import { leafFrom } from './leaf.ts';
import type { LedgerRecord } from './record.ts';
import { aligned, CELLS, cellsOf, printable } from './timeline-text.ts';

interface Placed {
  readonly seq: number;
  readonly bytes: Uint8Array;
}

/**
 * Leaves as a table for people, in the given order, one line each: record number, time (UTC), task, and the cells of a
 * timeline. A record of another version, or a damaged one, still gets a line.
 */
export const recordTable = (leaves: readonly Placed[]): readonly string[] =>
  aligned([['RECORD', 'TIME', 'TASK', ...CELLS], ...leaves.map((leaf) => rowOf(leaf).map(printable))]);

/** A leaf as a line of JSON: its record with its number, or its number and the problem. */
export function recordLine({ seq, bytes }: Placed): string {
  const leaf = leafFrom(bytes);
  return printable(JSON.stringify(isProblem(leaf) ? { seq, problem: leaf.problem } : { ...leaf.record, seq }));
}

function rowOf({ seq, bytes }: Placed): readonly string[] {
  const leaf = leafFrom(bytes);
  if (isProblem(leaf)) return [String(seq), '-', '-', `the record ${leaf.problem}`];
  try {
    // May be of another version: a missing member shows in the row, or ends in the catch below.
    const record = leaf.record as unknown as LedgerRecord;
    return [String(seq), new Date(record.at).toISOString(), record.task ?? '-', ...cellsOf(record)];
  } catch {
    return [String(seq), '-', '-', 'a record that this version cannot show: see it with --json'];
  }
}
