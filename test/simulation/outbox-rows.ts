import type { EncodedRecord } from '../../src/core/ledger/encoded-record.ts';
import type { OutboxRecord } from '../../src/core/state/store-reader.ts';
import type { Task } from '../../src/core/task/task.ts';
import { isOpen } from '../../src/core/task/task.ts';
import { allowedUse, encoded } from '../builders/ledger-record.ts';
import type { Rows, Write } from './database-node.ts';
import type { Transaction } from './database.ts';
import type { Mistake } from './mistakes.ts';
import { AWAITED_MS } from './terms.ts';

/** What a ledger has said of itself. */
interface Relay {
  readonly seq: number;
  readonly seenMs: number;
  readonly copies: number;
}

const relaysIn = (rows: Rows): ReadonlyMap<string, Relay> =>
  (rows.get('relays') as ReadonlyMap<string, Relay> | undefined) ?? new Map<string, Relay>();

const recordAt = (rows: Rows, seq: number): EncodedRecord | undefined =>
  rows.get(`record:${seq}`) as EncodedRecord | undefined;

/** The number of the last record ever added. */
export const recordsEnd = (rows: Rows): number => (rows.get('records-end') as number | undefined) ?? 0;

/** Gives records their numbers, after those there are. */
export const numberedRecords = (rows: Rows, records: readonly EncodedRecord[]): readonly Write[] => [
  ...records.map((record, at): Write => [`record:${recordsEnd(rows) + at + 1}`, record]),
  ['records-end', recordsEnd(rows) + records.length],
];

/** The records that wait after a number. */
export function waitingAfter(rows: Rows, after: number): readonly OutboxRecord[] {
  const waiting: OutboxRecord[] = [];
  for (let seq = after + 1; seq <= recordsEnd(rows); seq += 1) {
    const record = recordAt(rows, seq);
    if (record !== undefined) waiting.push({ ...record, outbox: seq });
  }
  return waiting;
}

/**
 * Says how far a ledger has the records, and deletes those that as many ledgers have as are asked for, and that each has which was heard of of
 * late: what `FORGET` of the product does.
 * @param options.isSame whether rows are of the database that was seen before
 */
export const forgetting = (
  { ledger, upTo, copies }: { readonly ledger: string; readonly upTo: number; readonly copies: number },
  { isSame, mistake }: { readonly isSame: (rows: Rows) => boolean; readonly mistake: Mistake | null },
): Transaction<boolean> => ({
  locks: ['relays'],
  run: (rows, nowMs) => {
    if (mistake !== 'forgotten-in-older-copy' && !isSame(rows)) return { result: false, writes: [], changes: [] };
    const relays = new Map(relaysIn(rows)).set(ledger, { seq: upTo, seenMs: nowMs, copies });
    const all = [...relays.values()];
    const recent = Math.min(...all.filter(({ seenMs }) => nowMs - seenMs < AWAITED_MS).map(({ seq }) => seq));
    const needed = Math.max(...all.map((one) => one.copies));
    const most = all.map(({ seq }) => seq).toSorted((one, other) => other - one)[needed - 1] ?? 0;
    const deletes: Write[] = [];
    const to = mistake === 'one-ledger-is-enough' ? recent : Math.min(recent, most);
    for (let seq = to; recordAt(rows, seq) !== undefined; seq -= 1) deletes.push([`record:${seq}`, undefined]);
    return { result: true, writes: [['relays', relays], ...deletes], changes: [] };
  },
});

/** The records of the tasks that a transaction has ended. */
export const recordsOfEnds = (tasks: readonly Task[]): readonly EncodedRecord[] =>
  tasks.filter(({ state }) => !isOpen(state)).map(({ id }) => recordOfEnd(id));

/** The record of the end of a task: the same for each way to end it, since it ends once. */
export const recordOfEnd = (task: string): EncodedRecord =>
  encoded({ kind: 'end', at: 0, task, state: 'completed', cause: 'operator.completed', note: '', by: 'operator' });

/** The record of a use that is committed with it, as one of high risk is. */
export const recordOfUse = (decisionId: string): EncodedRecord => allowedUse(1, 0, 'allow', decisionId);
