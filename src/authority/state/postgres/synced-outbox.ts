import { isStoreFailure, storeFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { OutboxRecord } from '../../../core/state/store-reader.ts';
import type { Database } from './database.ts';
import type { PostgresFeed } from './postgres-feed.ts';
import type { PostgresReads } from './rows/postgres-reads.ts';

interface Parts {
  readonly beats: Pick<PostgresFeed, 'beat'>;
  readonly database: Pick<Database, 'timeline'>;
  readonly reads: Pick<PostgresReads, 'outbox' | 'outboxEnd'>;
}

/**
 * The outbox as a ledger takes it: only records that a synced commit on the same primary has followed. A commit whose wait for a standby was
 * cancelled is visible and can still be lost. Its record would describe something that never happened, and another record would get its
 * number, which a ledger that has taken the first record skips.
 */
export class SyncedOutbox {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The records after a number, in order. */
  async after(number: number, limit: number): Promise<readonly OutboxRecord[] | StoreFailure> {
    return this.#synced(
      () => this.#parts.reads.outbox(number, limit),
      ({ length }) => length === 0,
    );
  }

  /** The number of the last record ever added. */
  async end(): Promise<number | StoreFailure> {
    return this.#synced(
      () => this.#parts.reads.outboxEnd(),
      (end) => end === 0,
    );
  }

  async #synced<T>(read: () => Promise<T | StoreFailure>, isNothing: (found: T) => boolean): Promise<T | StoreFailure> {
    const { beats, database } = this.#parts;
    // INVARIANT: noted before the read. Meanwhile a failover may lose what was read, and another primary be found.
    const { timeline } = database;
    const found = await read();
    if (isStoreFailure(found) || isNothing(found)) return found;
    const beat = await beats.beat();
    if (isStoreFailure(beat)) return beat;
    return timeline !== null && database.timeline === timeline
      ? found
      : storeFailure('unknown', 'the records were read from another primary');
  }
}
