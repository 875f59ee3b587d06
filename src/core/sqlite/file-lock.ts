import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { PRIVATE_MODE } from '../runtime/system/private-file.ts';
import { failureOfSqlite } from './sqlite-failure.ts';
import { errorCode } from '../runtime/system/error-code.ts';

/** A lock that is held until it is released or the process ends, however it ends. */
export interface FileLock {
  readonly release: () => void;
}

/** INVARIANT: keeps held locks reachable. Otherwise the garbage collector could close their connections at any time. */
const heldLocks = new Set<DatabaseSync>();

/**
 * Takes the lock on an empty lock file, which is created if it is missing. Does not wait: returns `null` if another process holds
 * it. It is a lock of SQLite, which the system releases when the process ends. Throws errors of the system and of SQLite.
 *
 * @see https://www.sqlite.org/lockingv3.html
 */
export function lockFile(path: string): FileLock | null {
  createLockFile(path);
  const db = new DatabaseSync(path, { allowExtension: false });
  try {
    db.exec('PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE');
    heldLocks.add(db);
    return {
      release: () => {
        if (heldLocks.delete(db)) db.close();
      },
    };
  } catch (error) {
    db.close();
    if (failureOfSqlite(error)?.code === 'busy') return null;
    throw error;
  }
}

/** INVARIANT: never opens an existing file: closing it would drop the POSIX locks SQLite holds in this process. */
function createLockFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', PRIVATE_MODE));
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
  }
}
