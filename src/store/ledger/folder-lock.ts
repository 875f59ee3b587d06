import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { PRIVATE_MODE } from '../private-file.ts';
import { failureOfSqlite, storeFailure } from '../store-failure.ts';
import type { StoreFailure } from '../store-failure.ts';

/**
 * Takes the folder of a log for this process alone, until it is released or the process ends, however it ends: two writers
 * would make two logs of one. The lock is one of SQLite's own on a file that holds nothing.
 */
export function lockFolder(folder: string): { readonly release: () => void } | StoreFailure {
  const path = join(folder, 'lock.db');
  let db: DatabaseSync | null = null;
  try {
    closeSync(openSync(path, 'a', PRIVATE_MODE));
    db = new DatabaseSync(path, { allowExtension: false });
    const held = db;
    held.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE');
    return { release: () => held.close() };
  } catch (error) {
    if (db?.isOpen === true) db.close();
    const failure = failureOfSqlite(error);
    if (failure?.code !== 'busy') throw error;
    return storeFailure('busy', `the ledger \`${folder}\` is in use by another process`);
  }
}
