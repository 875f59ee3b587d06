import { isProblem } from '../token/members.ts';
import { leafFrom } from './leaf.ts';
import type { LedgerRecord } from './record.ts';
import { aligned, CELLS, cellsOf, printable } from './timeline-text.ts';

interface Placed {
  readonly seq: number;
  readonly bytes: Uint8Array;
}

/**
 * Leaves as a table for people, in the order given, a line each: record number, time (UTC), task, and what a timeline shows.
 * A record that another version wrote, or that was damaged, keeps its line.
 */
export const recordTable = (leaves: readonly Placed[]): readonly string[] =>
  aligned([['RECORD', 'TIME', 'TASK', ...CELLS], ...leaves.map((leaf) => rowOf(leaf).map(printable))]);

/** A leaf as one line of JSON: the members of its record and its number, or its number and the problem with it. */
export function recordLine({ seq, bytes }: Placed): string {
  const leaf = leafFrom(bytes);
  return printable(JSON.stringify(isProblem(leaf) ? { seq, problem: leaf.problem } : { ...leaf.record, seq }));
}

function rowOf({ seq, bytes }: Placed): readonly string[] {
  const leaf = leafFrom(bytes);
  if (isProblem(leaf)) return [String(seq), '-', '-', `the record ${leaf.problem}`];
  try {
    // Of whichever version: a member that is not there shows in the row, or leads to the other one.
    const record = leaf.record as unknown as LedgerRecord;
    return [String(seq), new Date(record.at).toISOString(), record.task ?? '-', ...cellsOf(record)];
  } catch {
    return [String(seq), '-', '-', 'a record that this version cannot show: see it with --json'];
  }
}
