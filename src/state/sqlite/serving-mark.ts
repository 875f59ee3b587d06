import type { DatabaseSync } from 'node:sqlite';
import type { Connection } from './connection.ts';
import { scalar } from '../../sqlite/scalar.ts';
import { isStoreFailure } from '../../sqlite/store-failure.ts';
import type { StoreFailure } from '../../sqlite/store-failure.ts';

/** Whether the file has the mark of a process that did not end cleanly or still serves. Then the whole file is checked for damage. */
export const isMarked = (db: DatabaseSync): boolean => scalar(db, 'SELECT 1 FROM serving LIMIT 1') === 1;

/**
 * Within a transaction: removes the marks of all other processes, once the file was checked. A process that still serves writes its mark
 * again.
 */
function replaceMarks(connection: Connection, id: string): null {
  connection.statement('DELETE FROM serving WHERE id <> ?').run(id);
  return insertMark(connection, id);
}

/** Within a transaction: adds the mark of this process. */
function insertMark(connection: Connection, id: string): null {
  connection.statement('INSERT OR IGNORE INTO serving VALUES (?)').run(id);
  return null;
}

/** Whether the mark of this process is there. Within `read`. */
const hasMark = (connection: Connection, id: string): boolean =>
  connection.statement('SELECT 1 FROM serving WHERE id = ?').get(id) !== undefined;

/** Within a transaction: removes the mark of this process, which ended cleanly. */
function deleteMark(connection: Connection, id: string): null {
  connection.statement('DELETE FROM serving WHERE id = ?').run(id);
  return null;
}

/** The mark of a process that serves with the file. */
export class ServingMark {
  readonly #connection: Connection;
  readonly #id: string;
  /** Whether the whole file was checked. If so, the first mark of this process removes all others. */
  #isChecked: boolean;

  constructor(connection: Connection, id: string, isChecked: boolean) {
    this.#connection = connection;
    this.#id = id;
    this.#isChecked = isChecked;
  }

  /** Writes the mark, unless it is there. */
  set(): null | StoreFailure {
    const isThere = this.#connection.read([], () => hasMark(this.#connection, this.#id));
    if (isStoreFailure(isThere)) return isThere;
    if (isThere) return null;
    const write = this.#isChecked ? replaceMarks : insertMark;
    const failure = this.#connection.write([], () => write(this.#connection, this.#id));
    if (failure === null) this.#isChecked = false;
    return failure;
  }

  /** Removes the mark. If this fails, it stays and the next start checks the file. */
  remove(): void {
    this.#connection.write([this.#id], () => deleteMark(this.#connection, this.#id));
  }
}
