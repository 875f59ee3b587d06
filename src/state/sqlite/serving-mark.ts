import type { DatabaseSync } from 'node:sqlite';
import type { Connection } from './connection.ts';
import { scalar } from '../../sqlite/scalar.ts';

/** Whether the file has the mark of a process that did not end cleanly or still serves. Then the whole file is checked for damage. */
export const isMarked = (db: DatabaseSync): boolean => scalar(db, 'SELECT 1 FROM serving LIMIT 1') === 1;

/**
 * Within a transaction: removes the marks of all other processes, once the file was checked. A process that still serves writes its mark
 * again.
 */
export function replaceMarks(connection: Connection, id: string): null {
  connection.statement('DELETE FROM serving WHERE id <> ?').run(id);
  return insertMark(connection, id);
}

/** Within a transaction: adds the mark of this process. */
export function insertMark(connection: Connection, id: string): null {
  connection.statement('INSERT OR IGNORE INTO serving VALUES (?)').run(id);
  return null;
}

/** Whether the mark of this process is there. Within `read`. */
export const hasMark = (connection: Connection, id: string): boolean =>
  connection.statement('SELECT 1 FROM serving WHERE id = ?').get(id) !== undefined;

/** Within a transaction: removes the mark of this process, which ended cleanly. */
export function deleteMark(connection: Connection, id: string): null {
  connection.statement('DELETE FROM serving WHERE id = ?').run(id);
  return null;
}
