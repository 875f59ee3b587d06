/** The table of records on their way to the ledger. */
import { encodedRecordFrom } from '../../../../core/ledger/encoded-record.ts';
import type { EncodedRecord } from '../../../../core/ledger/encoded-record.ts';
import type { Connection } from '../connection.ts';
import type { OutboxRecord, WaitingRecord } from '../../../../core/state/store-reader.ts';
import { queueSignals } from './signal-table.ts';
import { bounded, touchTask } from './task-table.ts';

/** Within a transaction: writes records in order, and restarts the idle time of tasks with allowed uses. */
export function insertRecords(connection: Connection, records: readonly EncodedRecord[]): void {
  const insert = connection.statement('INSERT INTO outbox (task, at_ms, kind, bytes) VALUES (?,?,?,?)');
  const used = new Map<string, number>();
  for (const record of records) {
    const { task, at, kind, bytes, isAllowedUse } = record;
    insert.run(task, at, kind, bytes);
    if (isAllowedUse && task !== null) used.set(task, Math.max(at, used.get(task) ?? at));
  }
  for (const [task, at] of used) touchTask(connection, task, at);
  queueSignals(connection, records);
  connection.recorded(records);
}

/** The first waiting records of a task. */
export function waitingRecordsOf(connection: Connection, taskId: string, limit: number): readonly WaitingRecord[] {
  const sql = 'SELECT seq, bytes FROM outbox WHERE task = ? ORDER BY seq LIMIT ?';
  return (
    connection
      .statement(sql)
      .all(taskId, bounded(limit))
      // STRICT: `bytes` is a BLOB.
      .map((row) => ({ seq: null, outbox: Number(row['seq']), bytes: row['bytes'] as Uint8Array }))
  );
}

/** The waiting records above a number. */
export function outboxAfter(connection: Connection, after: number, limit: number): readonly OutboxRecord[] {
  const sql = 'SELECT seq, bytes FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?';
  return (
    connection
      .statement(sql)
      .all(after, bounded(limit))
      // STRICT: `bytes` is a BLOB, and `encodedRecord` made it.
      .map((row) => Object.assign(encodedRecordFrom(row['bytes'] as Uint8Array), { outbox: Number(row['seq']) }))
  );
}

/** The number of the last record ever added to the outbox; 0 before the first. */
export function outboxEnd(connection: Connection): number {
  const row = connection.statement("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").get();
  return Number(row?.['seq'] ?? 0);
}

/** Within a transaction: deletes records that the ledger has. */
export function forgetOutbox(connection: Connection, upTo: number): null {
  connection.statement('DELETE FROM outbox WHERE seq <= ?').run(upTo);
  return null;
}

/** The id of the file. */
export const fileIdOf = (connection: Connection): string =>
  String(connection.statement('SELECT file_id FROM file').get()?.['file_id']);
