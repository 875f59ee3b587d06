import { isProblem } from '../runtime/problem.ts';
import { leafFrom } from './proof/leaf.ts';
import type { LedgerRecord } from './record.ts';
import { printableJson } from './printable-json.ts';
import { aligned, CELLS, cellsOf, printable } from './timeline-text.ts';

interface Placed {
  readonly seq: number;
  readonly bytes: Uint8Array;
  /** Origin of the log of a sidecar; absent in the process's own ledger. */
  readonly log?: string;
}

/**
 * Leaves as a table for people, in the given order, one line each: record number, time (UTC), task, and the cells of a
 * timeline. A record of another version, or a damaged record, still gets a line.
 */
export const recordTable = (leaves: readonly Placed[]): readonly string[] =>
  aligned([['RECORD', 'TIME', 'TASK', ...CELLS], ...leaves.map((leaf) => rowOf(leaf).map(printable))]);

/** A leaf as a line of JSON: its record with its number, or its number and the problem. */
export function recordLine({ seq, bytes, log }: Placed): string {
  const leaf = leafFrom(bytes);
  const place = log === undefined ? { seq } : { seq, log };
  return printableJson(isProblem(leaf) ? { ...place, problem: leaf.problem } : { ...leaf.record, ...place });
}

/** The number of a record; in the log of a sidecar after its name and the start of its epoch, such as `tools-7/1a2b3c4d:17`. */
function numberOf({ seq, log }: Placed): string {
  if (log === undefined) return String(seq);
  const [, name = '', epoch = ''] = log.split('/');
  return `${name}/${epoch.slice(0, 8)}:${seq}`;
}

function rowOf(placed: Placed): readonly string[] {
  const leaf = leafFrom(placed.bytes);
  if (isProblem(leaf)) return [numberOf(placed), '-', '-', `the record ${leaf.problem}`];
  try {
    // May be of another version: a missing member shows in the row, or ends in the catch below.
    const record = leaf.record as unknown as LedgerRecord;
    return [numberOf(placed), new Date(record.at).toISOString(), record.task ?? '-', ...cellsOf(record)];
  } catch {
    return [numberOf(placed), '-', '-', 'a record that this version cannot show: see it with --json'];
  }
}
