import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import { encodedRecord, recordText } from '../ledger/record.ts';
import type { EncodedRecord, EndRecord } from '../ledger/record.ts';
import type { StoredRecord } from '../ledger/timeline.ts';
import { afterEvent } from '../task/task.ts';
import type { Task, TaskConflict, TaskEvent } from '../task/task.ts';
import { ClockFloor } from './clock-floor.ts';
import { openSqlite, scalar } from './sqlite-file.ts';
import type { OpenOptions } from './sqlite-file.ts';
import { failureOfSqlite, isStoreFailure, storeFailure } from './store-failure.ts';
import type { StoreFailure } from './store-failure.ts';
import type { IssuedToken, Store, StoreReader, TaskEnd, TaskFilter } from './store.ts';
import { TASK_COLUMNS, taskFrom, valuesOf } from './task-row.ts';

/** Largest result of a listing, and of one sweep. */
const MAX_ROWS = 1_000;
/** How far the clock in the file may lag where nothing else is written. */
const CLOCK_WRITE_MS = 10_000;
const DEFAULT_MAX_BYTES = 64 * 1024 ** 3;

/** What a store needs from outside. */
export interface StoreOptions {
  /** Wall clock, milliseconds since the Unix epoch. */
  readonly nowMs: () => number;
  /**
   * Called once, when the store breaks: an I/O error, a corrupt file. The process must stop serving and end, since after a
   * failed sync SQLite goes on acknowledging what it may lose; a new process opens the file and checks it.
   */
  readonly onFatal?: (failure: StoreFailure) => void;
  /** `create` (default) makes the file where there is none; `write` needs it to be there. */
  readonly access?: 'create' | 'write';
  /** The file's largest size; a write beyond it fails as `full`. Default 64 GiB. */
  readonly maxBytes?: number;
}

/**
 * Opens the state file, made with mode 0600 where there is none, and checks it whole, which takes time in proportion to its
 * size. Refused: a version of SQLite that can lose writes, a damaged file, one that others may read, and an unknown schema.
 */
export function openStore(path: string, options: StoreOptions): Store | StoreFailure {
  return opened(path, options, {
    access: options.access ?? 'create',
    maxBytes: options.maxBytes ?? DEFAULT_MAX_BYTES,
  });
}

/** Opens the state file for reading alone, beside the process that writes it. */
export function openStoreForReading(
  path: string,
  options: { readonly nowMs: () => number },
): StoreReader | StoreFailure {
  return opened(path, options, { access: 'read', maxBytes: DEFAULT_MAX_BYTES });
}

function opened(path: string, options: StoreOptions, how: OpenOptions): SqliteStore | StoreFailure {
  const db = openSqlite(path, how);
  return isStoreFailure(db) ? db : new SqliteStore(db, options);
}

const SELECT_TASK = `SELECT ${TASK_COLUMNS} FROM tasks`;

/** A store over one connection. Every call is one statement or one transaction, and synchronous. */
class SqliteStore implements Store {
  readonly #db: DatabaseSync;
  readonly #clock: ClockFloor;
  readonly #onFatal: (failure: StoreFailure) => void;
  readonly #statements = new Map<string, StatementSync>();
  #clockWrittenMs = 0;
  #broken: StoreFailure | null = null;

  constructor(db: DatabaseSync, options: StoreOptions) {
    this.#db = db;
    this.#onFatal = options.onFatal ?? (() => undefined);
    this.#clock = new ClockFloor(options.nowMs, Number(scalar(db, 'SELECT max_wall_seen_ms FROM clock')));
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  taskOf(issuer: string, id: string): Task | undefined | StoreFailure {
    return this.#run([issuer, id], () => this.#taskOf(issuer, id));
  }

  tasks(filter: TaskFilter): readonly Task[] | StoreFailure {
    const { id = null, agent = null, state = null } = filter;
    const sql = `${SELECT_TASK} WHERE (?1 IS NULL OR id = ?1) AND (?2 IS NULL OR agent = ?2) AND (?3 IS NULL OR ?3 =
      CASE WHEN ended_ms IS NULL AND deadline_ms <= ?4 THEN 'expired' ELSE state END)
      ORDER BY created_ms DESC, id DESC LIMIT ?5`;
    return this.#run([id, agent, state], () =>
      this.#statement(sql)
        .all(id, agent, state, this.nowMs(), bounded(filter.limit ?? MAX_ROWS))
        .map(taskFrom),
    );
  }

  recordsOf(taskId: string, limit: number): readonly StoredRecord[] | StoreFailure {
    const sql = 'SELECT seq, bytes FROM records WHERE task = ? ORDER BY seq LIMIT ?';
    return this.#run([taskId], () =>
      this.#statement(sql)
        .all(taskId, bounded(limit))
        // STRICT: `bytes` is a BLOB.
        .map((row) => ({ seq: Number(row['seq']), bytes: row['bytes'] as Uint8Array })),
    );
  }

  insertTask(task: Task, token: IssuedToken, records: readonly EncodedRecord[]): null | StoreFailure {
    const values = [token.jtiDigest, task.issuer, task.id, token.audience, token.issuedAtMs, token.expiresAtMs];
    return this.#write([...valuesOf(task), ...values], () => {
      this.#statement(`INSERT INTO tasks (${TASK_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)`).run(...valuesOf(task));
      this.#statement('INSERT INTO tokens VALUES (?,?,?,?,?,?)').run(...values);
      this.#insertRecords(records);
      return null;
    });
  }

  endTask(
    key: { readonly issuer: string; readonly id: string },
    event: TaskEvent,
    by: string,
  ): TaskEnd | TaskConflict | undefined | StoreFailure {
    return this.#write([key.issuer, key.id, event.cause, by], () => {
      const task = this.#taskOf(key.issuer, key.id);
      return task === undefined ? undefined : this.#end(task, event, by);
    });
  }

  endExpired(): number | StoreFailure {
    const sql = `${SELECT_TASK} WHERE ended_ms IS NULL AND deadline_ms <= ? LIMIT ${MAX_ROWS}`;
    const isIdle = this.#run([], () => this.#statement(sql).get(this.nowMs()) === undefined);
    if (isStoreFailure(isIdle)) return isIdle;
    if (isIdle && this.nowMs() - this.#clockWrittenMs < CLOCK_WRITE_MS) return 0;
    return this.#write([], () => {
      const due = this.#statement(sql).all(this.nowMs()).map(taskFrom);
      for (const task of due) this.#end(task, { kind: 'expire', cause: 'deadline reached' }, 'remit');
      return due.length;
    });
  }

  appendRecords(batch: readonly EncodedRecord[]): null | StoreFailure {
    return this.#write([], () => {
      this.#insertRecords(batch);
      return null;
    });
  }

  close(): void {
    if (this.#db.isOpen) this.#db.close();
    this.#broken ??= storeFailure('broken', 'the state file is closed');
  }

  #taskOf(issuer: string, id: string): Task | undefined {
    const row = this.#statement(`${SELECT_TASK} WHERE issuer = ? AND id = ?`).get(issuer, id);
    return row === undefined ? undefined : taskFrom(row);
  }

  /** Within a transaction: the event, and its record where it changed something. */
  #end(task: Task, event: TaskEvent, by: string): TaskEnd | TaskConflict {
    const nowMs = this.nowMs();
    const after = afterEvent(task, event, nowMs);
    if ('problem' in after) return after;
    if (after === task) return { task, changed: false };
    this.#statement('UPDATE tasks SET state = ?, ended_ms = ?, end_cause = ? WHERE issuer = ? AND id = ?').run(
      after.state,
      after.endedAtMs,
      after.endCause,
      after.issuer,
      after.id,
    );
    // `afterEvent` leads to the states of an `end` record alone.
    const state = after.state as EndRecord['state'];
    const record = encodedRecord({
      kind: 'end',
      at: nowMs,
      task: task.id,
      state,
      cause: recordText(event.cause),
      by: recordText(by),
    });
    if ('problem' in record) throw new Error(`an end has no record: ${record.problem}`);
    this.#insertRecords([record]);
    return { task: after, changed: true };
  }

  #insertRecords(records: readonly EncodedRecord[]): void {
    const insert = this.#statement('INSERT INTO records (task, at_ms, kind, bytes) VALUES (?,?,?,?)');
    for (const record of records) insert.run(record.task, record.at, record.kind, record.bytes);
  }

  /** One transaction, on disk when this returns; it carries the clock along. A failure rolls it back. */
  #write<T>(input: readonly SQLInputValue[], work: () => T): T | StoreFailure {
    return this.#run(input, () => {
      this.#db.exec('BEGIN IMMEDIATE');
      try {
        const result = work();
        const nowMs = this.nowMs();
        this.#statement('UPDATE clock SET max_wall_seen_ms = ?').run(nowMs);
        this.#db.exec('COMMIT');
        this.#clockWrittenMs = nowMs;
        return result;
      } catch (error) {
        if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
        throw error;
      }
    });
  }

  #run<T>(input: readonly SQLInputValue[], work: () => T): T | StoreFailure {
    if (this.#broken !== null) return this.#broken;
    if (!input.every(isStorable)) {
      return storeFailure('refused', 'text with U+0000 or a lone surrogate is not stored');
    }
    try {
      return work();
    } catch (error) {
      const failure = failureOfSqlite(error);
      if (failure === null) throw error;
      if (failure.code === 'broken') this.#break(failure);
      return failure;
    }
  }

  /** INVARIANT: nothing is tried again on a connection that failed to read, write or sync. */
  #break(failure: StoreFailure): void {
    if (this.#broken !== null) return;
    this.#broken = failure;
    this.#onFatal(failure);
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

const isStorable = (value: SQLInputValue): boolean =>
  typeof value !== 'string' || (!value.includes('\0') && value.isWellFormed());

const bounded = (limit: number): number => Math.max(0, Math.min(MAX_ROWS, Math.trunc(limit)));
