import type { DatabaseNode, Rows } from './database-node.ts';
import type { Database, Outcome, Transaction } from './database.ts';
import type { Party } from './party.ts';
import { POLL_MS } from './terms.ts';

const syncing = (isSame: (rows: Rows) => boolean): Transaction<boolean> => ({
  locks: [],
  run: (rows) => ({ result: isSame(rows), writes: [], changes: [] }),
});

/** How an authority finds its database. */
export class DatabaseClient {
  readonly #party: Party;
  readonly #database: Database;
  #node: DatabaseNode | null = null;

  constructor(party: Party, database: Database) {
    this.#party = party;
    this.#database = database;
  }

  /** The primary it talks to; `null` before the first call, and after a failure. */
  get node(): DatabaseNode | null {
    return this.#node;
  }

  /** Reads rows; `null` where there was no answer. */
  read<T>(rows: (rows: Rows) => T, onAnswer: (got: T | null) => void): void {
    const node = this.#primary();
    if (node === null) return this.#party.after(POLL_MS, () => onAnswer(null));
    this.#database.read(this.#party, node, {
      rows,
      onAnswer: (got) => {
        if (got === null) this.#lost(node);
        onAnswer(got);
      },
    });
  }

  /**
   * Reads rows at a head of the feed, and gives them only once a synced commit on the same primary has followed: what is seen before may be
   * lost.
   * @param options.syncedTo up to this head none is needed
   * @param options.isSame whether rows are of the database that was seen before
   */
  readSynced<T extends { readonly head: number }>(
    rows: (rows: Rows) => T,
    {
      syncedTo,
      isSame,
      onAnswer,
    }: {
      readonly syncedTo: number;
      readonly isSame: (rows: Rows) => boolean;
      readonly onAnswer: (got: T | null) => void;
    },
  ): void {
    // INVARIANT: noted before the read. Meanwhile a failover may lose what was read, and another primary be found.
    const node = this.#primary();
    this.read(
      (all) => ({ got: isSame(all) ? rows(all) : null }),
      (read) => {
        const got = read?.got ?? null;
        if (got === null) return onAnswer(null);
        if (got.head <= syncedTo) return onAnswer(got);
        this.commit(syncing(isSame), (outcome) =>
          onAnswer(typeof outcome === 'string' || !outcome.result || this.#node !== node ? null : got),
        );
      },
    );
  }

  commit<T>(transaction: Transaction<T>, onAnswer: (outcome: Outcome<T>) => void): void {
    const node = this.#primary();
    if (node === null) return this.#party.after(POLL_MS, () => onAnswer('refused'));
    this.#database.commit(this.#party, node, {
      transaction,
      onAnswer: (outcome) => {
        if (typeof outcome === 'string') this.#lost(node);
        onAnswer(outcome);
      },
    });
  }

  #lost(node: DatabaseNode): void {
    if (this.#node === node) this.#node = null;
  }

  /** The primary, found anew after a failure. */
  #primary(): DatabaseNode | null {
    this.#node ??= this.#database.primaryFor(this.#party.place);
    return this.#node;
  }
}
