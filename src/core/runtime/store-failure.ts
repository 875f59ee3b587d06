/**
 * A failure of a store: returned, never thrown. Nothing of the failed call was stored, unless it is `unknown`.
 *
 * - `full`: the disk is full; the store stays usable and recovers once there is space
 * - `busy`: another process held the write lock for too long; a retry may succeed
 * - `conflict`: a row with that key exists
 * - `changed`: the data on which the write was decided has changed since it was read; decide again
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
