import type { EncodedRecord } from '../ledger/encoded-record.ts';
import type { RecordRange } from '../ledger/proof/verdict.ts';
import type { HandedRecord } from '../ledger/writer.ts';
import type { OutboxRecord } from './store-reader.ts';

/** Most records that are read at a time. */
export const MAX_AT_ONCE = 1_000;

/** Takes records; `false` if it takes none at the moment. */
export interface LedgerIntake {
  take(record: HandedRecord): boolean;
}

/** Options of a cursor. */
export interface OutboxCursorOptions {
  /** How far the ledger had taken the outbox when the ledger was opened. */
  readonly taken: number;
  /**
   * Makes the record that tells the ledger that it will never get these records. `null` if no other process takes the records
   * into a ledger of its own: then no record is deleted before this ledger has it.
   */
  readonly missing: ((records: RecordRange) => EncodedRecord) | null;
}

/**
 * The position of a ledger in an outbox: the records that were sent, committed, and deleted from the outbox. It has no I/O and no clock:
 * its owner reads, writes and waits.
 */
export class OutboxCursor {
  readonly #ledger: LedgerIntake;
  readonly #missing: OutboxCursorOptions['missing'];
  #handed: number;
  #committed: number;
  #forgotten = 0;
  #isRefused = false;

  constructor(ledger: LedgerIntake, { taken, missing }: OutboxCursorOptions) {
    this.#ledger = ledger;
    this.#missing = missing;
    this.#handed = taken;
    this.#committed = taken;
  }

  /** The number after which records are to be read. */
  get handed(): number {
    return this.#handed;
  }

  /** The last record that the ledger has. */
  get committedUpTo(): number {
    return this.#committed;
  }

  /** Whether the ledger has all records that were sent to it, and takes more. */
  get isUpToDate(): boolean {
    return this.#handed === this.#committed && !this.#isRefused;
  }

  /** Whether the outbox keeps records that the ledger has. */
  get hasToForget(): boolean {
    return this.#committed !== this.#forgotten;
  }

  /** Sends the records that were read after `handed`. Returns whether there may be more to send now. */
  hand(waiting: readonly OutboxRecord[]): boolean {
    for (const record of waiting) {
      if (!this.#without(record.outbox - 1) || !this.#give(record)) return false;
    }
    return waiting.length === MAX_AT_ONCE;
  }

  /**
   * Detects deleted records at the end of the outbox.
   * @param end the number of the last record ever added
   * @param found what was read after `handed` since
   */
  ended(end: number, found: readonly OutboxRecord[]): void {
    if (end > this.#handed && (found[0]?.outbox ?? Infinity) > end) this.#without(end);
  }

  /** The ledger has committed these records. */
  committed(batch: readonly HandedRecord[]): void {
    for (const { outbox } of batch) if (outbox !== undefined) this.#committed = Math.max(this.#committed, outbox);
  }

  /** The outbox has deleted the records up to a number. */
  forgot(upTo: number): void {
    this.#forgotten = upTo;
  }

  /**
   * Records in the ledger that records up to a number were deleted before it had them. It does so once, under the last of their numbers.
   */
  #without(to: number): boolean {
    const from = this.#handed + 1;
    return this.#missing === null || from > to || this.#give({ ...this.#missing({ from, to }), outbox: to });
  }

  #give(record: HandedRecord & { readonly outbox: number }): boolean {
    this.#isRefused = !this.#ledger.take(record);
    if (!this.#isRefused) this.#handed = record.outbox;
    return !this.#isRefused;
  }
}
