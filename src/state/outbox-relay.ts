import type { HandedRecord } from '../ledger/writer.ts';
import type { After } from '../runtime/timers.ts';
import { isStoreFailure } from '../sqlite/store-failure.ts';
import type { Upkeep } from './authority.ts';
import type { StoreReader } from './store.ts';

/** How often the outbox is looked at for what other processes wrote there, and emptied of what the ledger has. */
const LOOK_MS = 1_000;
const MAX_AT_ONCE = 1_000;

/** What records are handed to; `false` where it takes none now. */
export interface LedgerIntake {
  take(record: HandedRecord): boolean;
}

/** What a relay works with. */
export interface RelayOptions {
  /** The state file, read where it lies: what is committed is seen at once. */
  readonly reader: Pick<StoreReader, 'outbox'>;
  readonly authority: Pick<Upkeep, 'forget'>;
  readonly after: After;
  /** How far the ledger had taken the outbox when it was opened. */
  readonly taken: number;
  /**
   * Whether this process is the one that hands the outbox on, asked every second until it is: where several share the state
   * file, one does at a time. Absent where it is alone with the file.
   */
  readonly claim?: () => boolean;
}

/**
 * Hands the records of a state file on to the ledger, in their order, and has the file forget them once the ledger has them.
 * What was handed on and not committed when the process ends is handed on again by the next one: the ledger takes no number
 * twice. Where another process with another ledger is the next one, what the first had committed and the file not yet forgotten
 * is in both: of the last second before a process was killed, and nothing where it ended by itself.
 *
 * Lifecycle: `start` once, `pump` after each write, `committed` after each commit of the ledger, `close` once, after the
 * last commit of the ledger and before the authority is closed. One `forget` is under way at a time.
 */
export class OutboxRelay {
  readonly #options: RelayOptions;
  readonly #ledger: LedgerIntake;
  readonly #claim: () => boolean;
  #isClaimed = false;
  #handed: number;
  #committed: number;
  #forgotten = 0;
  #forgetting: Promise<void> = Promise.resolve();
  #isForgetting = false;
  #cancel: () => void = () => undefined;

  constructor(ledger: LedgerIntake, options: RelayOptions) {
    const { taken, claim = () => true } = options;
    this.#options = options;
    this.#ledger = ledger;
    this.#claim = claim;
    this.#handed = taken;
    this.#committed = taken;
  }

  start(): void {
    this.#isClaimed ||= this.#claim();
    this.pump();
    void this.#forget();
    this.#cancel = this.#options.after(LOOK_MS, () => this.start());
  }

  /** Hands on what waits. What the ledger does not take now stays where it is and is tried again within a second. */
  pump(): void {
    if (!this.#isClaimed) return;
    for (;;) {
      const waiting = this.#options.reader.outbox(this.#handed, MAX_AT_ONCE);
      if (isStoreFailure(waiting)) return;
      for (const record of waiting) {
        if (!this.#ledger.take(record)) return;
        this.#handed = record.outbox;
      }
      if (waiting.length < MAX_AT_ONCE) return;
    }
  }

  /** The ledger has these. */
  committed(batch: readonly HandedRecord[]): void {
    for (const { outbox } of batch) if (outbox !== undefined) this.#committed = Math.max(this.#committed, outbox);
  }

  /** Resolves once the file was asked to forget what the ledger has. Never rejects. */
  async close(): Promise<void> {
    this.#cancel();
    await this.#forgetting;
    await this.#forget();
  }

  #forget(): Promise<void> {
    if (this.#isClaimed && !this.#isForgetting && this.#committed !== this.#forgotten) {
      this.#forgetting = this.#forgetUpTo(this.#committed);
    }
    return this.#forgetting;
  }

  /** A failure leaves the rows for the next time. */
  async #forgetUpTo(committed: number): Promise<void> {
    this.#isForgetting = true;
    try {
      if ((await this.#options.authority.forget(committed)) === null) this.#forgotten = committed;
    } catch {
      // A fault of the thread that writes: it is told where it is counted, and the rows stay.
    } finally {
      this.#isForgetting = false;
    }
  }
}
