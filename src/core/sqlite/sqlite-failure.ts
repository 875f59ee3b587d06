import { storeFailure } from '../runtime/store-failure.ts';
import type { StoreFailure } from '../runtime/store-failure.ts';

const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;
const SQLITE_FULL = 13;
const SQLITE_TOOBIG = 18;
const SQLITE_CONSTRAINT = 19;

/** Primary result codes after which the store is still usable. INVARIANT: every code not listed here is fatal. */
const recoverable: ReadonlyMap<number, { readonly code: StoreFailure['code']; readonly text: string }> = new Map([
  [SQLITE_BUSY, { code: 'busy', text: 'the state file is locked by another process' }],
  [SQLITE_LOCKED, { code: 'busy', text: 'the state file is locked' }],
  [SQLITE_FULL, { code: 'full', text: 'the disk under the state file is full' }],
  [SQLITE_TOOBIG, { code: 'refused', text: 'the row is larger than SQLite stores' }],
  [SQLITE_CONSTRAINT, { code: 'conflict', text: 'a row with that key exists' }],
]);

/**
 * The failure for an error of `node:sqlite`; `null` if the error did not come from SQLite, which makes it a bug.
 *
 * @see https://sqlite.org/rescode.html the low byte of an extended code is its primary code
 */
export function failureOfSqlite(error: unknown): StoreFailure | null {
  if (!isSqliteError(error)) return null;
  const known = recoverable.get(error.errcode & 0xff);
  return known === undefined
    ? storeFailure('broken', `SQLite failed with code ${error.errcode}: ${error.message}`)
    : storeFailure(known.code, known.text);
}

const isSqliteError = (error: unknown): error is { readonly errcode: number; readonly message: string } =>
  typeof error === 'object' && error !== null && 'errcode' in error && typeof error.errcode === 'number';
