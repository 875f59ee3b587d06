/** The mark of the process that serves with a state file. */
import type { DatabaseSync } from 'node:sqlite';
import { scalar } from '../../../../core/sqlite/scalar.ts';
import { isStoreFailure } from '../../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../../core/runtime/store-failure.ts';
import type { Connection } from '../connection.ts';

const SERVING = 'SELECT 1 FROM serving LIMIT 1';

/** Whether the file has the mark of a process that did not end cleanly or still serves. Then the whole file is checked for damage. */
export const isMarked = (db: DatabaseSync): boolean => scalar(db, SERVING) === 1;

/** Writes the mark of the process that serves with the file, unless it is there. */
export function markServing(connection: Connection): null | StoreFailure {
  const isThere = connection.read([], () => connection.statement(SERVING).get() !== undefined);
  if (isStoreFailure(isThere)) return isThere;
  return isThere ? null : connection.write([], () => run(connection, "INSERT INTO serving VALUES ('serving')"));
}

/** Removes the mark. If this fails, it stays and the next start checks the file. */
export function unmarkServing(connection: Connection): void {
  connection.write([], () => run(connection, 'DELETE FROM serving'));
}

function run(connection: Connection, sql: string): null {
  connection.statement(sql).run();
  return null;
}
