import { closeSync, openSync } from 'node:fs';
import { backup } from 'node:sqlite';
import type { DatabaseSync } from 'node:sqlite';
import { PRIVATE_MODE } from '../runtime/private-file.ts';
import { scalar } from './scalar.ts';
import { synced } from '../runtime/synced.ts';

/** Pages copied at once, some 8 MiB. */
const PAGES = 2_048;

/**
 * Copies a database as it is at one instant, beside whoever writes it, into a new file of mode 0600 that is on disk when this resolves.
 * INVARIANT: within a transaction that reads, since SQLite begins a copy anew whenever another process has written.
 *
 * @param onBytes told how many bytes were copied so far
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
