import { missingRecords } from '../../src/core/ledger/relayed.ts';
import type { HandedRecord } from '../../src/core/ledger/writer.ts';
import { OutboxCursor } from '../../src/core/state/outbox-cursor.ts';
import type { DatabaseClient } from './database-client.ts';
import type { Rows } from './database-node.ts';
import type { Disk } from './disk.ts';
import { forgetting, recordsEnd, waitingAfter } from './outbox-rows.ts';
import type { Party } from './party.ts';
import { LOOK_MS, LOOKS_TO_TELL } from './terms.ts';
import type { World } from './world.ts';

/** Options of a ledger. */
export interface LedgerOptions {
  readonly world: World;
  readonly party: Party;
  readonly database: DatabaseClient;
  readonly disk: Disk;
  /** The life of the database that its authority serves. */
  readonly epoch: string;
  /** Whether its authority may read and write the database. */
  readonly isServing: () => boolean;
  /** Whether rows are of the database that the authority has seen, with all of its changes. */
  readonly isSame: (rows: Rows) => boolean;
}

/** The ledger of one life of an authority: the shell round an `OutboxCursor`, which writes to a disk that others wrote before. */
export class Ledger {
  readonly #options: LedgerOptions;
  readonly #cursor: OutboxCursor;
  #queued: HandedRecord[] = [];
  #isWriting = false;
  #isReading = false;
  #isForgetting = false;
  #looks = 0;

  constructor(options: LedgerOptions) {
    const { disk, epoch, world } = options;
    this.#options = options;
    const isSilent = world.mistake === 'missing-untold';
    this.#cursor = new OutboxCursor(
      { take: (record) => this.#queued.push(record) > 0 },
      {
        taken: disk.taken(epoch),
        missing: isSilent ? null : (records) => missingRecords(records, { database: epoch, atMs: 0 }),
      },
    );
  }

  start(): void {
    this.#options.party.every(LOOK_MS, () => this.#look());
  }

  #look(): void {
    if (!this.#options.isServing()) return;
    const isTold = this.#looks % LOOKS_TO_TELL === 0;
    this.#looks += 1;
    this.#pump();
    this.#forget(isTold && this.#cursor.isUpToDate);
  }

  /** Reads what waits, and where all of it ends. */
  #pump(): void {
    if (this.#isReading) return;
    this.#isReading = true;
    const { database, isSame, world } = this.#options;
    const after = this.#cursor.handed;
    database.readSynced((rows) => ({ head: recordsEnd(rows), waiting: waitingAfter(rows, after) }), {
      syncedTo: world.mistake === 'unsynced-record' ? Infinity : after,
      isSame,
      onAnswer: (got) => {
        this.#isReading = false;
        if (got === null || !this.#options.isServing()) return;
        this.#cursor.hand(got.waiting);
        this.#cursor.ended(got.head, got.waiting);
        if (world.mistake === 'forgotten-before-written') this.#cursor.committed(this.#queued);
        this.#write();
      },
    });
  }

  #write(): void {
    if (this.#isWriting || this.#queued.length === 0) return;
    this.#isWriting = true;
    const { disk, epoch, party, world } = this.#options;
    const batch = this.#queued.splice(0);
    party.after(world.random.between(1, 20), () => {
      this.#isWriting = false;
      disk.append(epoch, batch);
      this.#cursor.committed(batch);
      this.#write();
    });
  }

  #forget(isTold: boolean): void {
    if (this.#isForgetting || !(isTold || this.#cursor.hasToForget)) return;
    this.#isForgetting = true;
    const { database, isSame, party, world } = this.#options;
    const { mistake, copies } = world;
    const upTo = this.#cursor.committedUpTo;
    database.commit(forgetting({ ledger: party.place, upTo, copies }, { isSame, mistake }), (outcome) => {
      this.#isForgetting = false;
      if (typeof outcome !== 'string' && outcome.result) this.#cursor.forgot(upTo);
    });
  }
}
