import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import type { EncodedRecord } from '../../../core/ledger/encoded-record.ts';
import { laterOf } from '../../../core/runtime/ports.ts';
import type { Clocks } from '../../../core/runtime/ports.ts';
import { ClockFloor, MAX_FLOOR_MS } from '../../../core/state/clock-floor.ts';
import type { ClockSources, FloorMark } from '../../../core/state/clock-floor.ts';
import type { ChangedPart } from '../../../core/state/feed.ts';
import { isStorable, notStorable } from '../../../core/state/writes/stored-text.ts';
import { appendToFeed } from './tables/feed-table.ts';
import { failureOfSqlite } from '../../../core/sqlite/sqlite-failure.ts';
import { isStoreFailure, storeFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';

/** The clock of a connection, such as a `ClockFloor`. */
export interface StateClock {
  read(): Clocks;
  /** The mark that a commit writes for the next process. */
  mark(): FloorMark;
}

/** The sources from which a connection makes its clock, together with the mark in its file; or the clock itself. */
export type ClockOfState = ClockSources | { readonly clock: StateClock };

/** Options of a connection to a state file. */
export type StateConnectionOptions = ClockOfState & ConnectionOptions;

interface ConnectionOptions {
  /** Called once, when the connection breaks. */
  readonly onFatal?: (failure: StoreFailure) => void;
  /** Called with records once they are on disk, for metrics. It must not throw. */
  readonly onRecords?: (records: readonly EncodedRecord[]) => void;
  /** Called after each transaction with `null` once it is on disk, or with the failure of the disk or of a lock. It must not throw. */
  readonly onWrite?: (failure: StoreFailure | null) => void;
}

/**
 * A connection to a state file, with its clock, its prepared statements and its handling of failures. Everything runs through `read` or
 * `write`. After a failed read, write or sync, every later call fails in the same way.
 */
export class Connection {
  readonly #db: DatabaseSync;
  readonly #clock: StateClock;
  readonly #onFatal: (failure: StoreFailure) => void;
  readonly #onRecords: (records: readonly EncodedRecord[]) => void;
  readonly #onWrite: (failure: StoreFailure | null) => void;
  readonly #statements = new Map<string, StatementSync>();
  #clockWrittenMs = 0;
  #broken: StoreFailure | null = null;
  /** Records written by the open transaction. */
  #recorded: EncodedRecord[] = [];
  /** Root tasks changed by the open transaction. */
  readonly #changed = new Map<string, ChangedPart>();
  /** Listener of `changed`. */
  #onChange: (root: string, part: ChangedPart) => void = () => undefined;
  /** The group of writes that are committed together; `null` outside `inOneCommit`. */
  #group: { failure: StoreFailure | null } | null = null;

  constructor(db: DatabaseSync, options: StateConnectionOptions) {
    this.#db = db;
    this.#onFatal = options.onFatal ?? (() => undefined);
    this.#onRecords = options.onRecords ?? (() => undefined);
    this.#onWrite = options.onWrite ?? (() => undefined);
    this.#clock = 'clock' in options ? options.clock : new ClockFloor(options, markIn(db));
  }

  /** Reads all clocks at once. */
  clocks(): Clocks {
    return this.#clock.read();
  }

  /** The clock mark for the next commit. */
  mark(): FloorMark {
    return this.#clock.mark();
  }

  /** The later of wall clock and floor, in milliseconds since the Unix epoch. Decisions use it. */
  nowMs(): number {
    return laterOf(this.#clock.read());
  }

  /** The floor alone, in the same unit. Permanent writes use it. */
  floorMs(): number {
    return this.#clock.read().floorMs;
  }

  /** How far the clock mark in the file lags behind, in milliseconds. */
  clockLagMs(): number {
    return this.floorMs() - this.#clockWrittenMs;
  }

  /** A number that changes when another connection commits. Commits of this connection do not change it. */
  writesOfOthers(): number {
    return Number(this.statement('PRAGMA data_version').get()?.['data_version']);
  }

  /** The prepared statement of a text, prepared once. */
  statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /**
   * Runs reads on the connection.
   * @param input every text that is passed to SQLite; refused here if it cannot be stored
   */
  read<T>(input: readonly SQLInputValue[], work: () => T): T | StoreFailure {
    if (this.#broken !== null) return this.#broken;
    if (!input.every(isStorableValue)) return notStorable();
    try {
      return work();
    } catch (error) {
      const failure = failureOfSqlite(error);
      if (failure === null) throw error;
      if (failure.code === 'broken') this.#break(failure);
      return failure;
    }
  }

  /**
   * Runs a transaction, which is on disk when this returns and also writes the clock mark. A failure rolls it back. Within `inOneCommit` it
   * is on disk when `inOneCommit` returns.
   */
  write<T>(input: readonly SQLInputValue[], work: () => T): T | StoreFailure {
    const group = this.#group;
    const result = this.read(input, () => (group === null ? this.#transaction(work) : this.#inGroup(group, work)));
    if (isStoreFailure(result)) this.#failed(result);
    return result;
  }

  /**
   * Commits everything written in `work` in a single transaction. It begins with the first write and is on disk when this returns. `work`
   * must neither await nor throw. If a write fails, all are rolled back and later writes fail in the same way.
   */
  inOneCommit(work: () => void): null | StoreFailure {
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
        failureOfSqlite(error) ?? storeFailure('refused', 'a write that goes to disk together with this write failed');
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

  /**
   * Within a transaction: writes the clock mark, unless another process wrote a later mark. A mark that is later by more than 24 hours is
   * wrong and is overwritten.
   */
  #writeClock({ floorMs, boot }: FloorMark): void {
    const sql = `UPDATE clock SET floor_ms = ?1, boot_id = ?2, since_boot_ms = ?3
      WHERE floor_ms <= ?1 OR floor_ms - ?1 > ${MAX_FLOOR_MS}`;
    this.statement(sql).run(floorMs, boot?.bootId ?? null, boot?.sinceMs ?? null);
  }

  /**
   * Within a transaction: announces a change to what decisions depend on (the row of a task, an existing token, a history). The change goes
   * into the feed in the same commit.
   *
   * @param root id of the root task (`rootTaskOf`)
   */
  changed(root: string, part: ChangedPart): void {
    if (part === 'task' || !this.#changed.has(root)) this.#changed.set(root, part);
    this.#onChange(root, part);
  }

  /** Sets the only listener of `changed`. It must not throw. */
  onChange(listener: (root: string, part: ChangedPart) => void): void {
    this.#onChange = listener;
  }

  /** Within a transaction: announces the records that it wrote. */
  recorded(records: readonly EncodedRecord[]): void {
    this.#recorded.push(...records);
  }

  close(): void {
    if (this.#db.isOpen) this.#db.close();
    this.#broken ??= storeFailure('broken', 'the state file is closed');
  }

  /** INVARIANT: a connection that failed to read, write or sync is not used again. */
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

const isStorableValue = (value: SQLInputValue): boolean => typeof value !== 'string' || isStorable(value);
