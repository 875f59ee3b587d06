import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { PRIVATE_MODE } from '../runtime/private-file.ts';
import { failureOfSqlite } from './store-failure.ts';

/** A lock that is held until it is released or the process ends, however it ends. */
export interface FileLock {
  readonly release: () => void;
}

/** INVARIANT: a lock that nobody has in hand any more is held all the same; the collector of garbage would close it at any time. */
const held = new Set<DatabaseSync>();

/** What each kind of lock takes. Shared ones stand beside each other, an exclusive one beside none. */
const statements = {
  exclusive: 'BEGIN EXCLUSIVE',
  // The lock comes with the first read.
  shared: 'BEGIN; SELECT count(*) FROM sqlite_schema',
} as const;

/**
 * Takes a lock on a file that holds nothing, made where there is none; `null` where others hold one that it cannot stand
 * beside. It does not wait. The lock is one of SQLite's own, which the system gives up with the process. Throws the system's
 * error, and SQLite's.
 *
 * @see https://www.sqlite.org/lockingv3.html
 */
export function lockFile(path: string, kind: keyof typeof statements): FileLock | null {
  createLockFile(path);
  const db = new DatabaseSync(path, { allowExtension: false });
  try {
    db.exec(`PRAGMA journal_mode = DELETE; ${statements[kind]}`);
    held.add(db);
    return {
      release: () => {
        if (held.delete(db)) db.close();
      },
    };
  } catch (error) {
    db.close();
    if (failureOfSqlite(error)?.code === 'busy') return null;
    throw error;
  }
}

/** INVARIANT: an existing file is never opened here, since closing it would drop the locks SQLite holds in this process. */
function createLockFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', PRIVATE_MODE));
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

const codeOf = (error: unknown): unknown =>
  typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
