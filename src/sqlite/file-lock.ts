import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { PRIVATE_MODE } from '../runtime/private-file.ts';
import { failureOfSqlite } from './store-failure.ts';

/** A lock heldLocks until it is released or the process ends, however it ends. */
export interface FileLock {
  readonly release: () => void;
}

/** INVARIANT: keeps heldLocks locks reachable. Otherwise the garbage collector could close their connections at any time. */
const heldLocks = new Set<DatabaseSync>();

/** The statements that take each kind of lock. Shared locks coexist; an exclusive lock excludes all others. */
const statements = {
  exclusive: 'BEGIN EXCLUSIVE',
  // SQLite takes the shared lock with the first read.
  shared: 'BEGIN; SELECT count(*) FROM sqlite_schema',
} as const;

/**
 * Takes a lock on an empty lock file, which is created where it is missing. Does not wait: returns `null` where another process
 * holds a conflicting lock. It is a lock of SQLite, which the system releases when the process ends. Throws errors of the
 * system and of SQLite.
 *
 * @see https://www.sqlite.org/lockingv3.html
 */
export function lockFile(path: string, kind: keyof typeof statements): FileLock | null {
  createLockFile(path);
  const db = new DatabaseSync(path, { allowExtension: false });
  try {
    db.exec(`PRAGMA journal_mode = DELETE; ${statements[kind]}`);
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
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

const codeOf = (error: unknown): unknown =>
  typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
