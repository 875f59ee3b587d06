import type { EncodedRecord } from '../ledger/encoded-record.ts';
import type { RecordRange } from '../ledger/proof/verdict.ts';
import type { HandedRecord } from '../ledger/writer.ts';
import type { After } from '../runtime/timers.ts';
import { isStoreFailure } from '../runtime/store-failure.ts';
import type { Upkeep } from './authority.ts';
import { MAX_AT_ONCE, OutboxCursor } from './outbox-cursor.ts';
import type { LedgerIntake } from './outbox-cursor.ts';
import type { StoreFailure } from '../runtime/store-failure.ts';
import type { OutboxRecord } from './store-reader.ts';

/** Interval at which the outbox is checked for records of commands, and cleared of records that the ledger has. */
const LOOK_MS = 1_000;

/** The records that wait: at once in a state file, with a promise in a database. */
export interface OutboxReader {
  outbox(
    after: number,
    limit: number,
  ): readonly OutboxRecord[] | StoreFailure | Promise<readonly OutboxRecord[] | StoreFailure>;
}

/** Options of a relay. */
export interface RelayOptions {
  readonly reader: OutboxReader;
  readonly authority: { readonly forget: (upTo: number) => ReturnType<Upkeep['forget']> };
  readonly after: After;
  /** How far the ledger had taken the outbox when the ledger was opened. */
  readonly taken: number;
  /** Absent unless other processes take the same records into ledgers of their own. They are notified of this ledger from time to time. */
  readonly shared?: SharedOutbox;
}

/** An outbox that several ledgers read: a record may be deleted before this ledger has it, once enough others have it. */
export interface SharedOutbox {
  /** The number of the last record ever added. */
  readonly outboxEnd: () => Promise<number | StoreFailure> | number | StoreFailure;
  /** Makes the record that tells the ledger that it will never get these records. */
  readonly missing: (records: RecordRange) => EncodedRecord;
}

/** Number of polls after which an idle ledger notifies the others that it is alive: every 15 s. */
const LOOKS_TO_TELL = 15;

/**
 * Sends the records of a state (a file or a database) to the ledger, in order, and deletes them there once the ledger has them.
 * Records that were sent but not committed when the process ends are sent again by the next process; the ledger ignores numbers
 * it has.
 *
 * Lifecycle: `start` once, `pump` after each write, `committed` after each commit of the ledger, `close` once, after the last
 * commit of the ledger and before the authority is closed. One `forget` runs at a time.
 */
export class OutboxRelay {
  readonly #options: RelayOptions;
  readonly #cursor: OutboxCursor;
  #looks = 0;
  #forgetting: Promise<void> = Promise.resolve();
  #isForgetting = false;
  #reading: Promise<void> | null = null;
  #cancel: () => void = () => undefined;

  constructor(ledger: LedgerIntake, options: RelayOptions) {
    const { shared, taken } = options;
    this.#options = options;
    this.#cursor = new OutboxCursor(ledger, { taken, missing: shared?.missing ?? null });
  }

  start(): void {
    void this.pump();
    // INVARIANT: a ledger that takes no records does not notify the others, so that none waits for it.
    const isTold = this.#options.shared !== undefined && this.#looks % LOOKS_TO_TELL === 0;
    void this.#forget(isTold && this.#cursor.isUpToDate);
    if (isTold) void this.#lookAtEnd();
    this.#looks += 1;
    this.#cancel = this.#options.after(LOOK_MS, () => this.start());
  }

  /** Sends waiting records. Those that the ledger does not take now are retried within a second. */
  pump(): Promise<void> | void {
    for (;;) {
      if (this.#reading !== null) return this.#reading;
      const waiting = this.#options.reader.outbox(this.#cursor.handed, MAX_AT_ONCE);
      if ('then' in waiting) return (this.#reading = this.#pumpFrom(waiting));
      if (!this.#hand(waiting)) return undefined;
    }
  }

  /** Call when the ledger has committed these records. */
  committed(batch: readonly HandedRecord[]): void {
    this.#cursor.committed(batch);
  }

  /** Resolves once the records that the ledger has are deleted from the outbox, or could not be. Never rejects. */
  async close(): Promise<void> {
    this.#cancel();
    await this.#forgetting;
    await this.#forget();
  }

  /** Sends what is read with a promise. One read at a time. */
  async #pumpFrom(reading: Promise<readonly OutboxRecord[] | StoreFailure>): Promise<void> {
    try {
      for (let waiting = await reading; this.#hand(waiting);) {
        waiting = await this.#options.reader.outbox(this.#cursor.handed, MAX_AT_ONCE);
      }
    } catch {
      // Tried again within a second.
    } finally {
      this.#reading = null;
    }
  }

  /** Returns whether there may be more to send now. */
  #hand(waiting: readonly OutboxRecord[] | StoreFailure): boolean {
    return !isStoreFailure(waiting) && this.#cursor.hand(waiting);
  }

  /** Detects records that were deleted at the end of the outbox, which no later record reveals. */
  async #lookAtEnd(): Promise<void> {
    const { reader, shared } = this.#options;
    try {
      const end = (await shared?.outboxEnd()) ?? 0;
      if (isStoreFailure(end) || end <= this.#cursor.handed) return;
      // INVARIANT: read after the end, so that records not found up to the end are deleted.
      const found = await reader.outbox(this.#cursor.handed, 1);
      if (!isStoreFailure(found)) this.#cursor.ended(end, found);
    } catch {
      // Looked at again later.
    }
  }

  #forget(isTold = false): Promise<void> {
    if (!this.#isForgetting && (isTold || this.#cursor.hasToForget)) {
      this.#forgetting = this.#forgetUpTo(this.#cursor.committedUpTo);
    }
    return this.#forgetting;
  }

  /** Deletes relayed records. After a failure the rows stay until the next try. */
  async #forgetUpTo(committed: number): Promise<void> {
    this.#isForgetting = true;
    try {
      if ((await this.#options.authority.forget(committed)) === null) this.#cursor.forgot(committed);
    } catch {
      // The failure is reported where it is counted, and the rows stay.
    } finally {
      this.#isForgetting = false;
    }
  }
}
