import { encodedRecord } from '../ledger/record.ts';
import type { EncodedRecord, LedgerRecord } from '../ledger/record.ts';
import type { StoredRecord } from '../ledger/timeline.ts';
import type { Connection } from './connection.ts';
import { bounded, touchTask } from './task-table.ts';

/** Writes records in their order, and that the tasks of allowed uses were not idle. */
export function insertRecords(connection: Connection, records: readonly EncodedRecord[]): void {
  const insert = connection.statement('INSERT INTO records (task, at_ms, kind, bytes) VALUES (?,?,?,?)');
  const used = new Map<string, number>();
  for (const { task, at, kind, bytes, isAllowedUse } of records) {
    insert.run(task, at, kind, bytes);
    if (isAllowedUse && task !== null) used.set(task, Math.max(at, used.get(task) ?? at));
  }
  for (const [task, at] of used) touchTask(connection, task, at);
  connection.recorded(records);
}

/** Writes a record that the store makes itself; its text has passed `recordText`, so that it can be encoded. */
export function insertRecord(connection: Connection, record: LedgerRecord): void {
  const encoded = encodedRecord(record);
  if ('problem' in encoded) throw new Error(`a change has no record: ${encoded.problem}`);
  insertRecords(connection, [encoded]);
}

/** The first records of a task. */
export function recordsOfTask(connection: Connection, taskId: string, limit: number): readonly StoredRecord[] {
  const sql = 'SELECT seq, bytes FROM records WHERE task = ? ORDER BY seq LIMIT ?';
  return (
    connection
      .statement(sql)
      .all(taskId, bounded(limit))
      // STRICT: `bytes` is a BLOB.
      .map((row) => ({ seq: Number(row['seq']), bytes: row['bytes'] as Uint8Array }))
  );
}

/** The last record of a use with this decision id, which is a member of its JSON; the whole table is read. */
export function recordOfDecision(connection: Connection, decisionId: string): StoredRecord | undefined {
  const sql =
    "SELECT seq, bytes FROM records WHERE kind = 'use' AND instr(bytes, CAST(? AS BLOB)) > 0 ORDER BY seq DESC LIMIT 1";
  const row = connection.statement(sql).get(`"decisionId":${JSON.stringify(decisionId)}`);
  // STRICT: `bytes` is a BLOB.
  return row === undefined ? undefined : { seq: Number(row['seq']), bytes: row['bytes'] as Uint8Array };
}
