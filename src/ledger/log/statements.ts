import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite';

/** A row as SQLite gives it. */
export type Row = Readonly<Record<string, SQLOutputValue>>;

/** The statements of one file, prepared once each: of SQL of this room alone, so that there are some dozens at most. */
export class Statements {
  readonly #db: DatabaseSync;
  readonly #prepared = new Map<string, StatementSync>();

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** The one statement of a text, to be run to its end at once. */
  of(sql: string): StatementSync {
    let statement = this.#prepared.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#prepared.set(sql, statement);
    }
    return statement;
  }

  /** A statement of its own, for rows that are read while others are. */
  another(sql: string): StatementSync {
    return this.#db.prepare(sql);
  }

  /** Does something within a transaction, on disk when this returns; throws what it throws, and nothing of it is kept. */
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

  /** Reads something of which nothing changes meanwhile. */
  read<T>(work: () => T): T {
    this.of('BEGIN').run();
    try {
      return work();
    } finally {
      if (this.#db.isTransaction) this.of('COMMIT').run();
    }
  }
}
