import type { EncodedRecord } from '../../../core/ledger/encoded-record.ts';
import type { ClockSources } from '../../../core/state/clock-floor.ts';
import { Connection } from './connection.ts';
import type { ClockOfState } from './connection.ts';
import { createState, stateFormat } from './schema.ts';
import { isMarked } from './tables/serving-mark.ts';
import { openSqlite } from '../../../core/sqlite/sqlite-file.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { Store } from '../../../core/state/store.ts';
import { SqliteStore } from './sqlite-store.ts';
import { SqliteReader, type StateReader } from './state-reader.ts';

const DEFAULT_MAX_BYTES = 64 * 1024 ** 3;

/** Options of a store. */
export interface StoreOptions extends ClockSources, FileOptions {}

interface FileOptions {
  /** Cryptographically strong random bytes. */
  readonly randomBytes: (length: number) => Uint8Array;
  /**
   * Called once when the store breaks, by an I/O error or a corrupt file. The process must stop serving and exit: after a failed sync
   * SQLite acknowledges writes that it may lose. A new process opens the file and checks it.
   */
  readonly onFatal?: (failure: StoreFailure) => void;
  /** Called with the records that each commit added to the outbox; pass them to the ledger. It must not throw. */
  readonly onRecords?: (records: readonly EncodedRecord[]) => void;
  /** Called after each transaction with `null` once it is on disk, or with the failure of the disk or of a lock. It must not throw. */
  readonly onWrite?: (failure: StoreFailure | null) => void;
  /**
   * `create` (default) is for a process that serves with the file: it creates the file if it does not exist, and marks it as in use until
   * `close`. `write` is for a command: the file must exist, and opening is fast whatever its size.
   */
  readonly access?: 'create' | 'write';
  /** Largest size of the file. A write beyond it fails as `full`. Default 64 GiB. */
  readonly maxBytes?: number;
}

/**
 * Opens the state file, and creates it with mode 0600 if it does not exist. If its last use did not end cleanly, a process that opens it to
 * serve checks the whole file first, which takes time in proportion to its size. Refused: a version of SQLite that can lose writes, a
 * damaged file, a file that others may read, and an unknown schema.
 */
export function openStore(path: string, options: StoreOptions): Store | StoreFailure {
  const store = openUnmarkedStore(path, options);
  if (isStoreFailure(store)) return store;
  try {
    // A failure is retried by `markServing`.
    store.markServing();
    return store;
  } catch (error) {
    store.close();
    throw error;
  }
}

/** Opens the file without marking it as in use. `markServing` does that: it is the first write and needs a clock. */
export function openUnmarkedStore(path: string, options: ClockOfState & FileOptions): Store | StoreFailure {
  const { access = 'create', maxBytes = DEFAULT_MAX_BYTES, randomBytes } = options;
  const isServing = access === 'create';
  const db = openSqlite(path, {
    format: stateFormat,
    access,
    maxBytes,
    create: (created) => createState(created, randomBytes),
    isCheckDue: (found) => isServing && isMarked(found),
  });
  return isStoreFailure(db) ? db : new SqliteStore(new Connection(db, options), { isServing });
}

/** Opens the state file read-only, beside the process or thread that writes it. */
export function openStoreForReading(
  path: string,
  options: ClockSources & Pick<StoreOptions, 'onFatal'>,
): StateReader | StoreFailure {
  const db = openSqlite(path, { format: stateFormat, access: 'read', maxBytes: DEFAULT_MAX_BYTES });
  return isStoreFailure(db) ? db : new SqliteReader(new Connection(db, options));
}
