import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import type { EncodedRecord } from '../../ledger/encoded-record.ts';
import { laterOf } from '../../runtime/ports.ts';
import type { Clocks } from '../../runtime/ports.ts';
import { ClockFloor, MAX_FLOOR_MS } from '../clock-floor.ts';
import type { ClockSources, FloorMark } from '../clock-floor.ts';
import { appendToFeed } from './feed-table.ts';
import { BusyTimeout } from '../../sqlite/busy-timeout.ts';
import { failureOfSqlite, isStoreFailure, storeFailure } from '../../sqlite/store-failure.ts';
import type { StoreFailure } from '../../sqlite/store-failure.ts';

/** What a connection judges and writes by. A `ClockFloor` is one. */
export interface StateClock {
  read(): Clocks;
  /** What a commit writes of it, for the next process. */
  mark(): FloorMark;
}

/** From what a connection makes its clock, with the mark in its file; or the clock itself. */
export type ClockOfState = ClockSources | { readonly clock: StateClock };

/** What a connection needs from outside. */
export type StateConnectionOptions = ClockOfState & ConnectionOptions;

interface ConnectionOptions {
  /** Called once, when the connection breaks. */
  readonly onFatal?: (failure: StoreFailure) => void;
  /** Told of records once they are on disk, for metrics. It must not throw. */
  readonly onRecords?: (records: readonly EncodedRecord[]) => void;
  /** Told of each transaction: `null` once it is on disk, or the failure of the disk or of a lock. It must not throw. */
  readonly onWrite?: (failure: StoreFailure | null) => void;
  /** How long a write waits for that of another process. Default 1,000 ms. */
  readonly busyTimeoutMs?: number;
}

const BUSY_TIMEOUT_MS = 1_000;

/**
 * One connection to a state file with its clock, its prepared statements, and what it does about failures. Everything runs
 * through `read` or `write`; after a failure to read, write or sync every later one fails the same.
 */
export class Connection {
  readonly #db: DatabaseSync;
  readonly #clock: StateClock;
  readonly #onFatal: (failure: StoreFailure) => void;
  readonly #onRecords: (records: readonly EncodedRecord[]) => void;
  readonly #onWrite: (failure: StoreFailure | null) => void;
  readonly #patience: BusyTimeout;
  readonly #statements = new Map<string, StatementSync>();
  #clockWrittenMs = 0;
  #broken: StoreFailure | null = null;
  /** Written by the transaction that is open. */
  #recorded: EncodedRecord[] = [];
  /** Roots of what was changed by the transaction that is open. */
  readonly #changed = new Set<string>();
  /** Told of what is written that uses are judged by. */
  #onChange: (whole: string) => void = () => undefined;
  /** The writes that go to disk together at the moment. */
  #group: { failure: StoreFailure | null } | null = null;

  constructor(db: DatabaseSync, options: StateConnectionOptions) {
    this.#db = db;
    this.#onFatal = options.onFatal ?? (() => undefined);
    this.#onRecords = options.onRecords ?? (() => undefined);
    this.#onWrite = options.onWrite ?? (() => undefined);
    this.#patience = new BusyTimeout(db, options.busyTimeoutMs ?? BUSY_TIMEOUT_MS);
    this.#clock = 'clock' in options ? options.clock : new ClockFloor(options, markIn(db));
  }

  /** One reading of all clocks. */
  clocks(): Clocks {
    return this.#clock.read();
  }

  /** What the next commit writes of the clock. */
  mark(): FloorMark {
    return this.#clock.mark();
  }

  /** The later of wall clock and floor, milliseconds since the Unix epoch: what is decided is judged by it. */
  nowMs(): number {
    return laterOf(this.#clock.read());
  }

  /** The floor alone, in the same unit: what is written down for good is judged by it. */
  floorMs(): number {
    return this.#clock.read().floorMs;
  }

  /** How far the clock in the file lags. */
  clockLagMs(): number {
    return this.floorMs() - this.#clockWrittenMs;
  }

  /** A number that is another one once another connection has committed something; what this one commits does not change it. */
  writesOfOthers(): number {
    return Number(this.statement('PRAGMA data_version').get()?.['data_version']);
  }

  /** The statement of that text, prepared once. */
  statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /** Runs something on the connection. @param input every text it hands on, refused here where it cannot be stored */
  read<T>(input: readonly SQLInputValue[], work: () => T): T | StoreFailure {
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
      if (failure.code === 'busy') this.#patience.waitedInVain();
      return failure;
    }
  }

  /**
   * One transaction, on disk when this returns; it carries the clock along. A failure rolls it back. Within `together` it is on disk
   * when that returns.
   */
  write<T>(input: readonly SQLInputValue[], work: () => T): T | StoreFailure {
    const group = this.#group;
    const result = this.read(input, () => (group === null ? this.#transaction(work) : this.#inGroup(group, work)));
    if (isStoreFailure(result)) this.#failed(result);
    return result;
  }

  /**
   * Makes one transaction of all that is written in `work`, in which nothing is awaited and nothing is thrown: begun by the first write,
   * on disk when this returns. A failure of one of them undoes them all, and those that follow fail the same.
   */
  together(work: () => void): null | StoreFailure {
    const group: { failure: StoreFailure | null } = { failure: null };
    this.#group = group;
    try {
      this.#undoing(work);
    } finally {
      this.#group = null;
    }
    if (group.failure !== null || !this.#db.isTransaction) return group.failure;
    const committed = this.read([], () => this.#undoing(() => this.#commit()));
    if (committed !== null) this.#failed(committed);
    return committed;
  }

  #transaction<T>(work: () => T): T {
    this.#db.exec('BEGIN IMMEDIATE');
    return this.#undoing(() => {
      const result = work();
      this.#commit();
      return result;
    });
  }

  #inGroup<T>(group: { failure: StoreFailure | null }, work: () => T): T | StoreFailure {
    if (group.failure !== null) return group.failure;
    try {
      if (!this.#db.isTransaction) this.#db.exec('BEGIN IMMEDIATE');
      return this.#undoing(work);
    } catch (error) {
      group.failure =
        failureOfSqlite(error) ?? storeFailure('refused', 'a write that goes to disk together with this one failed');
      throw error;
    }
  }

  #commit(): null {
    const recorded = this.#recorded;
    this.#recorded = [];
    if (this.#changed.size > 0) appendToFeed(this, this.#changed);
    this.#changed.clear();
    const mark = this.#clock.mark();
    this.#writeClock(mark);
    this.#db.exec('COMMIT');
    this.#clockWrittenMs = mark.floorMs;
    this.#patience.written();
    this.#onWrite(null);
    if (recorded.length > 0) this.#onRecords(recorded);
    return null;
  }

  #failed(failure: StoreFailure): void {
    if (failure.code === 'full' || failure.code === 'busy' || failure.code === 'broken') this.#onWrite(failure);
  }

  #undoing<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      this.#recorded = [];
      this.#changed.clear();
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
  }

  /** Within a transaction: carries the floor along, unless that of another process is later; by more than 24 hours that was wrong. */
  #writeClock({ floorMs, boot }: FloorMark): void {
    const sql = `UPDATE clock SET floor_ms = ?1, boot_id = ?2, since_boot_ms = ?3
      WHERE floor_ms <= ?1 OR floor_ms - ?1 > ${MAX_FLOOR_MS}`;
    this.statement(sql).run(floorMs, boot?.bootId ?? null, boot?.sinceMs ?? null);
  }

  /**
   * Within a transaction, by whatever writes what uses are judged by: the row of a task, a token that is there, a history. It goes
   * into the feed with the same commit.
   *
   * @param whole id of the task that was declared itself, which it is a part of or is (`wholeOf`)
   */
  changed(whole: string): void {
    this.#changed.add(whole);
    this.#onChange(whole);
  }

  /** Has one listener told of what `changed` is told. It must not throw. */
  onChange(listener: (whole: string) => void): void {
    this.#onChange = listener;
  }

  /** Within a transaction: what it has recorded. */
  recorded(records: readonly EncodedRecord[]): void {
    this.#recorded.push(...records);
  }

  close(): void {
    if (this.#db.isOpen) this.#db.close();
    this.#broken ??= storeFailure('broken', 'the state file is closed');
  }

  /** INVARIANT: nothing is tried again on a connection that failed to read, write or sync. */
  #break(failure: StoreFailure): void {
    if (this.#broken !== null) return;
    this.#broken = failure;
    this.#onFatal(failure);
  }
}

function markIn(db: DatabaseSync): FloorMark {
  const row = db.prepare('SELECT floor_ms, boot_id, since_boot_ms FROM clock').get();
  const boot =
    typeof row?.['boot_id'] === 'string' ? { bootId: row['boot_id'], sinceMs: Number(row['since_boot_ms']) } : null;
  return { floorMs: Number(row?.['floor_ms'] ?? 0), boot };
}

const isStorable = (value: SQLInputValue): boolean =>
  typeof value !== 'string' || (!value.includes('\0') && value.isWellFormed());
