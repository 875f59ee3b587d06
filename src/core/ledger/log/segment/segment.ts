import type { DatabaseSync } from 'node:sqlite';
import { rangeBytes } from '../../proof/compact-range.ts';
import { keyBytes } from '../../index-key.ts';
import { copyDatabase } from '../../../sqlite/database-copy.ts';
import { tableProblem } from '../../../sqlite/file-format.ts';
import { scalar } from '../../../sqlite/scalar.ts';
import { openSqlite } from '../../../sqlite/sqlite-file.ts';
import { failureOfSqlite } from '../../../sqlite/sqlite-failure.ts';
import { isStoreFailure, storeFailure } from '../../../runtime/store-failure.ts';
import type { StoreFailure } from '../../../runtime/store-failure.ts';
import { IndexWriter } from './index-writer.ts';
import type { KeyedLeaf } from './index-writer.ts';
import { KeptCheckpoints } from '../kept-checkpoints.ts';
import type { KeptCheckpoint } from '../kept-checkpoints.ts';
import { stateFrom } from '../log-state.ts';
import type { LogState } from '../log-state.ts';
import type { RecordCondition } from './record-filter.ts';
import { createSegment, segmentFormat } from './segment-format.ts';
import { SegmentIndex } from './segment-index.ts';
import { Statements } from './statements.ts';
import type { Row } from './statements.ts';

/** The state from which a new segment continues. */
export interface SegmentStart {
  readonly origin: string;
  readonly carried: LogState;
  readonly createdMs: number;
  /** The highest outbox number taken from each state file. */
  readonly taken: ReadonlyMap<string, number>;
  /** The checkpoint over everything carried over, so that it stays proved once earlier segments are pruned. */
  readonly checkpoint: KeptCheckpoint | null;
}

/** A leaf with its record number. */
export interface PlacedLeaf {
  readonly seq: number;
  readonly bytes: Uint8Array;
}

/** A query for a page of leaves. */
export interface LeafPage {
  readonly condition: RecordCondition;
  /** Range of record numbers, inclusive. */
  readonly from: number;
  readonly upto: number;
  readonly isNewestFirst: boolean;
}

/** Leaves per page; a record has at most 64 KiB. */
export const PAGE_LEAVES = 256;

/** Records written together, with the log's state and the outbox numbers after them. */
export interface SegmentBatch {
  readonly rows: readonly (PlacedLeaf & KeyedLeaf)[];
  readonly state: LogState;
  readonly taken: ReadonlyMap<string, number>;
}

/** Hard limit of a segment, enforced by SQLite's page count. */
const MAX_BYTES = 64 * 1024 ** 3;

/** 512 KiB of page cache for the writer instead of SQLite's 2,000 KiB: records are appended, so few pages are read again. */
const WRITER_CACHE = 'PRAGMA cache_size = -512';

/** How a segment is opened: `start` creates it; `write` continues it; `read` reads beside the writing process. */
export type SegmentAccess = { readonly start: SegmentStart } | 'write' | 'read';

/**
 * One segment of a log: an SQLite file with its records, their index, its checkpoints, and the tree before its first record.
 * Synchronous; written by the log's thread, read by anyone. Lives until `close`.
 */
export class Segment {
  readonly path: string;
  readonly origin: string;
  readonly carried: LogState;
  /** As the segment says. Only a writer that compared it with the last signed record may rely on it. */
  readonly createdMs: number;
  readonly checkpoints: KeptCheckpoints;
  readonly index: SegmentIndex;
  readonly #db: DatabaseSync;
  readonly #pageBytes: number;
  readonly #statements: Statements;
  #indexWriter: IndexWriter | null = null;

  private constructor(path: string, db: DatabaseSync, row: Row) {
    this.path = path;
    this.#db = db;
    this.#pageBytes = Number(scalar(db, 'PRAGMA page_size'));
    this.#statements = new Statements(db);
    this.origin = String(row['origin']);
    this.carried = stateFrom(row['carried'], row['carried_head']);
    this.createdMs = Number(row['created_ms']);
    this.checkpoints = new KeptCheckpoints(this.#statements);
    this.index = new SegmentIndex(this.#statements, this.carried.range.size);
  }

  /** Opens or creates a segment; `unfinished` is a file whose creation was interrupted, which is empty. */
  static open(path: string, access: SegmentAccess): Segment | StoreFailure | 'unfinished' {
    const isNew = typeof access === 'object';
    const how = { format: segmentFormat, maxBytes: MAX_BYTES };
    const db = openSqlite(
      path,
      access === 'read'
        ? { ...how, access: 'look' }
        : { ...how, access: isNew ? 'create' : access, create: createSegment },
    );
    if (isStoreFailure(db)) return db;
    try {
      if (access !== 'read') db.exec(WRITER_CACHE);
      if (isNew) begin(db, access.start);
      const row = hasTables(db) ? db.prepare('SELECT * FROM log').get() : undefined;
      if (row !== undefined) return new Segment(path, db, row);
      db.close();
      return 'unfinished';
    } catch (error) {
      if (db.isOpen) db.close();
      return failureOfSqlite(error) ?? storeFailure('unusable', `ledger segment \`${path}\` is damaged`);
    }
  }

  /** The log's state after the last record of this segment. */
  state(): LogState {
    const row = this.#statements.of('SELECT range, head FROM log').get();
    return stateFrom(row?.['range'], row?.['head']);
  }

  /** The highest outbox number taken from each state file. */
  taken(): ReadonlyMap<string, number> {
    const rows = this.#statements.of('SELECT file_id, outbox FROM taken').all();
    return new Map(rows.map((row) => [String(row['file_id']), Number(row['outbox'])]));
  }

  /** Reads the unindexed records, for a writer that continues; `false` if the index does not match. */
  resumeIndex(): boolean {
    return this.#resumed() !== null;
  }

  /** Writes a batch atomically, synced before it returns. Throws errors of SQLite. */
  append({ rows, state, taken }: SegmentBatch): void {
    this.#written(() => {
      this.#indexing().add(rows);
      const insert = this.#statements.of('INSERT INTO records VALUES (?,?,?)');
      for (const { seq, keys, bytes } of rows) insert.run(seq, keyBytes(keys), bytes);
      this.#statements.of('UPDATE log SET range = ?, head = ?').run(rangeBytes(state.range), state.head);
      writeTaken(this.#statements, taken);
    });
  }

  /** Stores a checkpoint, synced before it returns: before anyone sees it. */
  keep(checkpoint: KeptCheckpoint): void {
    this.#written(() => this.checkpoints.add(checkpoint));
  }

  /** Indexes the remaining records, synced before it returns: for a segment that gets no more of them. */
  finishIndex(): void {
    this.#written(() => this.#indexing().finish());
  }

  /** The leaves from a number on, in order. */
  *leaves(fromSeq: number): Generator<PlacedLeaf> {
    const leaves = this.#statements.another('SELECT seq, bytes FROM records WHERE seq >= ? ORDER BY seq');
    for (const row of leaves.iterate(fromSeq)) yield leafFrom(row);
  }

  /** All leaves with their stored keys. */
  *keyedLeaves(): Generator<PlacedLeaf & { readonly keys: Uint8Array }> {
    const leaves = this.#statements.another('SELECT seq, keys, bytes FROM records ORDER BY seq');
    for (const row of leaves.iterate()) yield { ...leafFrom(row), keys: row['keys'] as Uint8Array };
  }

  /** The first `PAGE_LEAVES` leaves that meet a condition. Leaves no statement open, so that no reader blocks the writer. */
  page({ condition: { where, values }, from, upto, isNewestFirst }: LeafPage): readonly PlacedLeaf[] {
    const order = isNewestFirst ? 'DESC' : 'ASC';
    const sql = `SELECT seq, bytes FROM records WHERE seq BETWEEN ? AND ? AND ${where} ORDER BY seq ${order} LIMIT ${PAGE_LEAVES}`;
    return this.#statements
      .of(sql)
      .all(from, upto, ...values)
      .map(leafFrom);
  }

  /** Returns a look-up of leaves by number, filtered by a condition. */
  leafAt({ where, values }: RecordCondition): (seq: number) => PlacedLeaf | undefined {
    const statement = this.#statements.of(`SELECT seq, bytes FROM records WHERE seq = ? AND ${where}`);
    return (seq) => {
      const row = statement.get(seq, ...values);
      return row === undefined ? undefined : leafFrom(row);
    };
  }

  /** The leaf with a number; `undefined` if it is not in this segment. */
  leaf(seq: number): PlacedLeaf | undefined {
    return this.leafAt({ where: 'TRUE', values: [] })(seq);
  }

  /** Runs reads on one snapshot, beside a writer. */
  atOnce<T>(read: () => T): T {
    return this.#statements.read(read);
  }

  /** What SQLite finds wrong with the file, or how its schema differs; `null` for nothing. */
  damage(): string | null {
    const found = scalar(this.#db, 'PRAGMA integrity_check(1)');
    if (found !== 'ok') return String(found);
    // SQLite does not check constraints of a schema that it does not trust.
    const isOne =
      scalar(this.#db, 'SELECT count(*) FROM log WHERE id = 1') === 1 &&
      scalar(this.#db, 'SELECT count(*) FROM log') === 1;
    return isOne ? tableProblem(this.#db, segmentFormat, createSegment) : 'its header is not one row with the id 1';
  }

  /** Copies a snapshot of the file to a new file, beside a writer. Rejects with errors of SQLite and the system. */
  copyTo(path: string, onBytes: (bytes: number) => void): Promise<void> {
    return copyDatabase(this.#db, path, onBytes);
  }

  /** Size of the file once its WAL is merged. */
  bytes(): number {
    return Number(this.#statements.of('PRAGMA page_count').get()?.['page_count']) * this.#pageBytes;
  }

  close(): void {
    if (this.#db.isOpen) this.#db.close();
  }

  #indexing(): IndexWriter {
    const writer = this.#resumed();
    // It matched when this process started to write.
    if (writer === null) throw new Error(`the index of \`${this.path}\` no longer matches its records`);
    return writer;
  }

  #resumed(): IndexWriter | null {
    return (this.#indexWriter ??= IndexWriter.resume(this.#statements, this.index, this.state().range.size));
  }

  #written(work: () => void): void {
    try {
      this.#statements.written(work);
    } catch (error) {
      // The index writer counts records that were rolled back.
      this.#indexWriter = null;
      throw error;
    }
  }
}

/**
 * Merges the write-ahead log of a closed segment. It is left behind if a reader has the segment open when it is closed. Does
 * nothing if the segment is in use or cannot be opened.
 */
export function mergeWal(path: string): void {
  const how = { format: segmentFormat, maxBytes: MAX_BYTES, create: () => undefined, isCheckDue: () => false };
  const db = openSqlite(path, { ...how, access: 'write' });
  if (!isStoreFailure(db)) db.close();
}

const hasTables = (db: DatabaseSync): boolean => scalar(db, 'SELECT count(*) FROM sqlite_schema') !== 0;

function writeTaken(statements: Statements, taken: ReadonlyMap<string, number>): void {
  const write = statements.of('INSERT INTO taken VALUES (?1,?2) ON CONFLICT DO UPDATE SET outbox = ?2');
  for (const [file, outbox] of taken) write.run(file, outbox);
}

function begin(db: DatabaseSync, { origin, carried, createdMs, taken, checkpoint }: SegmentStart): void {
  if (db.prepare('SELECT 1 FROM log').get() !== undefined) return;
  const statements = new Statements(db);
  statements.written(() => {
    const range = rangeBytes(carried.range);
    const write = statements.of('INSERT INTO log VALUES (1,?,?,?,?,?,?)');
    write.run(origin, range, carried.head, range, carried.head, createdMs);
    writeTaken(statements, taken);
    if (checkpoint !== null) new KeptCheckpoints(statements).add(checkpoint);
  });
}

/** Safe: the columns are INTEGER and BLOB in a STRICT table. */
const leafFrom = (row: Row): PlacedLeaf => ({ seq: Number(row['seq']), bytes: row['bytes'] as Uint8Array });
