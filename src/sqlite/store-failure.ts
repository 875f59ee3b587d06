import { type Deny, deny } from '../decision/decision.ts';

/**
 * A failure of a store: returned, never thrown. Nothing of the failed call was stored, except where it is `unknown`.
 *
 * - `full`: the disk is full; the store stays usable and recovers once there is space
 * - `busy`: another process held the write lock for too long; a retry may succeed
 * - `conflict`: a row with that key exists
 * - `changed`: what the write was decided by has changed since it was read; decide anew
 * - `refused`: the input cannot be stored, such as text with U+0000
 * - `unusable`: the file cannot be opened or is not ours
 * - `later`: the file was written by a later build, which has to read it
 * - `lost`: the database lacks commits that were seen in it
 * - `unfit`: the ledger differs from what was signed: it was changed or truncated
 * - `unknown`: the write may have been stored; only a database on another machine fails so
 * - `broken`: an I/O error or a corrupt file; every later call fails the same way, and the process must end
 */
export interface StoreFailure {
  readonly kind: 'store-failure';
  readonly code:
    | 'full'
    | 'busy'
    | 'conflict'
    | 'changed'
    | 'refused'
    | 'unusable'
    | 'later'
    | 'lost'
    | 'unfit'
    | 'unknown'
    | 'broken';
  /** What happened, for the operator; lower case, no final period. */
  readonly detail: string;
}

/** Makes a failure. */
export const storeFailure = (code: StoreFailure['code'], detail: string): StoreFailure => ({
  kind: 'store-failure',
  code,
  detail,
});

/** Whether a store's result is a failure. */
export const isStoreFailure = (value: unknown): value is StoreFailure =>
  typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'store-failure';

/** The denial of a check whose task state could not be read. */
export const stateUnavailable = (failure: StoreFailure): Deny => deny('task.state-unavailable', failure.detail);

/** The denial of a check that could not be recorded. */
export const ledgerUnavailable = (failure: StoreFailure): Deny => deny('ledger.unavailable', failure.detail);

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
 * The failure for an error of `node:sqlite`; `null` where the error did not come from SQLite, which makes it a bug.
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
