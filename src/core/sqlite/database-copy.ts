import { closeSync, openSync } from 'node:fs';
import { backup } from 'node:sqlite';
import type { DatabaseSync } from 'node:sqlite';
import { PRIVATE_MODE } from '../runtime/system/private-file.ts';
import { scalar } from './scalar.ts';
import { synced } from '../runtime/system/synced.ts';

/** Pages per step of the copy, about 8 MiB. */
const PAGES = 2_048;

/**
 * Copies a database to a new file of mode 0600, as a snapshot of one instant, while other processes write. The copy is on disk
 * when this resolves. INVARIANT: runs inside a read transaction; without it SQLite restarts the copy whenever another process
 * writes.
 *
 * @param onBytes called with the bytes copied so far
 */
export async function copyDatabase(db: DatabaseSync, to: string, onBytes: (bytes: number) => void): Promise<void> {
  const pageBytes = Number(scalar(db, 'PRAGMA page_size'));
  closeSync(openSync(to, 'wx', PRIVATE_MODE));
  db.exec('BEGIN');
  try {
    scalar(db, 'SELECT count(*) FROM sqlite_schema');
    await backup(db, to, {
      rate: PAGES,
      progress: ({ totalPages, remainingPages }) => onBytes((totalPages - remainingPages) * pageBytes),
    });
  } finally {
    if (db.isTransaction) db.exec('COMMIT');
  }
  synced(to);
}
