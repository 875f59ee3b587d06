import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite';

/** A row as SQLite returns it. */
export type Row = Readonly<Record<string, SQLOutputValue>>;

/** Prepared statements of one file, cached by SQL text: a few dozen at most, since a reader uses few forms of filters. */
export class Statements {
  readonly #db: DatabaseSync;
  readonly #prepared = new Map<string, StatementSync>();

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** The cached statement of a text, for running to completion at once. */
  of(sql: string): StatementSync {
    let statement = this.#prepared.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#prepared.set(sql, statement);
    }
    return statement;
  }

  /** A new statement, for rows that are iterated while the same text may run again. */
  another(sql: string): StatementSync {
    return this.#db.prepare(sql);
  }

  /** Runs `work` in a transaction, synced before it returns; rolls back and rethrows on an error. */
  written(work: () => void): void {
    this.of('BEGIN IMMEDIATE').run();
    try {
      work();
      this.of('COMMIT').run();
    } catch (error) {
      if (this.#db.isTransaction) this.of('ROLLBACK').run();
      throw error;
    }
  }

  /** Runs reads on one snapshot. */
  read<T>(work: () => T): T {
    this.of('BEGIN').run();
    try {
      return work();
    } finally {
      if (this.#db.isTransaction) this.of('COMMIT').run();
    }
  }
}
