import { relayWatch } from '../../src/core/ledger/relayed.ts';
import type { RelayedRecords } from '../../src/core/ledger/proof/verdict.ts';
import type { HandedRecord } from '../../src/core/ledger/writer.ts';

/** The records of one ledger, by the life of the database that they are of. It outlives the processes that write it. */
export class Disk {
  readonly #records = new Map<string, Map<number, HandedRecord>>();

  /** The last record of a life that it has, or has said to be missing. */
  taken(epoch: string): number {
    return Math.max(0, ...this.of(epoch).keys());
  }

  /** Numbers that it has are skipped. */
  append(epoch: string, batch: readonly HandedRecord[]): void {
    const records = new Map(this.of(epoch));
    for (const record of batch)
      if (record.outbox !== undefined && !records.has(record.outbox)) records.set(record.outbox, record);
    this.#records.set(epoch, records);
  }

  /** By number. An event stands for records that it says are missing. */
  of(epoch: string): ReadonlyMap<number, HandedRecord> {
    return this.#records.get(epoch) ?? new Map<number, HandedRecord>();
  }

  /** The texts of all records. */
  texts(): readonly string[] {
    return [...this.#records.values()].flatMap((records) => [...records.values()].map(textOf));
  }

  /** What `verify` reads in it, once it has signed all that it has. */
  relayed(epoch: string): readonly RelayedRecords[] {
    const watch = relayWatch();
    for (const record of this.of(epoch).values()) watch.see(JSON.parse(textOf(record)));
    watch.see({ kind: 'checkpoint', relayed: { database: epoch, to: this.taken(epoch) } });
    return watch.found();
  }

  /** It is lost, and an empty one is put in its place. */
  lose(): void {
    this.#records.clear();
  }
}

/** What a record says. */
export const textOf = ({ bytes }: Pick<HandedRecord, 'bytes'>): string => Buffer.from(bytes).toString('utf8');
