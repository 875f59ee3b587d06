import type { DatabaseSync } from 'node:sqlite';
import type { Connection } from './connection.ts';
import { scalar } from '../../sqlite/scalar.ts';

/**
 * Whether a process that serves with the file did not end cleanly, or serves still: its mark is there. Then the file is checked whole.
 */
export const isMarked = (db: DatabaseSync): boolean => scalar(db, 'SELECT 1 FROM serving LIMIT 1') === 1;

/** Takes away the marks of all processes, once the file was checked; one that serves still writes its own anew. Within a transaction. */
export function replaceMarks(connection: Connection, id: string): null {
  connection.statement('DELETE FROM serving WHERE id <> ?').run(id);
  return insertMark(connection, id);
}

/** Within a transaction. */
export function insertMark(connection: Connection, id: string): null {
  connection.statement('INSERT OR IGNORE INTO serving VALUES (?)').run(id);
  return null;
}

/** Within `read`. */
export const hasMark = (connection: Connection, id: string): boolean =>
  connection.statement('SELECT 1 FROM serving WHERE id = ?').get(id) !== undefined;

/** Within a transaction: this process ended cleanly. */
export function deleteMark(connection: Connection, id: string): null {
  connection.statement('DELETE FROM serving WHERE id = ?').run(id);
  return null;
}
