import type { DatabaseSync } from 'node:sqlite';
import { rangeBytes } from '../compact-range.ts';
import { keyBytes } from '../index-key.ts';
import { copyDatabase } from '../../sqlite/database-copy.ts';
import { tableProblem } from '../../sqlite/file-format.ts';
import { scalar } from '../../sqlite/scalar.ts';
import { openSqlite } from '../../sqlite/sqlite-file.ts';
import { failureOfSqlite, isStoreFailure, storeFailure } from '../../sqlite/store-failure.ts';
import type { StoreFailure } from '../../sqlite/store-failure.ts';
import { IndexWriter } from './index-writer.ts';
import type { KeyedLeaf } from './index-writer.ts';
import { KeptCheckpoints } from './kept-checkpoints.ts';
import type { KeptCheckpoint } from './kept-checkpoints.ts';
import { stateFrom } from './log-state.ts';
import type { LogState } from './log-state.ts';
import type { RecordCondition } from './record-filter.ts';
import { createSegment, segmentFormat } from './segment-format.ts';
import { SegmentIndex } from './segment-index.ts';
import { Statements } from './statements.ts';
import type { Row } from './statements.ts';

/** What a new segment goes on from. */
export interface SegmentStart {
  readonly origin: string;
  readonly carried: LogState;
  readonly createdMs: number;
  /** How far the outbox of each state file has been taken. */
  readonly taken: ReadonlyMap<string, number>;
  /** The checkpoint of all that was carried over, so that it stays proved once the segments before are given up. */
  readonly checkpoint: KeptCheckpoint | null;
}

/** A leaf with its place. */
export interface PlacedLeaf {
  readonly seq: number;
  readonly bytes: Uint8Array;
}

/** Which leaves of a segment are asked for. */
export interface LeafPage {
  readonly condition: RecordCondition;
  /** From this number up to that one. */
  readonly from: number;
  readonly upto: number;
  readonly isNewestFirst: boolean;
}

/** Leaves of a page at most: a record has 64 KiB at most. */
export const PAGE_LEAVES = 256;

/** Records written at once, where the log stands after them, and how far the outboxes were taken for them. */
export interface SegmentBatch {
  readonly rows: readonly (PlacedLeaf & KeyedLeaf)[];
  readonly state: LogState;
  readonly taken: ReadonlyMap<string, number>;
}

/** No segment may grow beyond this, whatever its limit: a page count that SQLite holds it to. */
const MAX_BYTES = 64 * 1024 ** 3;

/** How a segment is opened: `start` makes one; `write` goes on with it; `read` looks at it beside the process that writes. */
export type SegmentAccess = { readonly start: SegmentStart } | 'write' | 'read';

/**
 * One segment of a log: an SQLite file with its records, their index, its checkpoints, and the tree before its first record.
 * Synchronous; the log's thread writes it, anyone may read. Lives until `close`.
 */
export class Segment {
  readonly path: string;
  readonly origin: string;
  readonly carried: LogState;
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

  /** Opens a segment, or makes it; `unfinished` is a file whose making was interrupted: it holds nothing. */
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

  /** Where the log stands after the last record of this segment. */
  state(): LogState {
    const row = this.#statements.of('SELECT range, head FROM log').get();
    return stateFrom(row?.['range'], row?.['head']);
  }

  /** How far the outbox of each state file has been taken. */
  taken(): ReadonlyMap<string, number> {
    const rows = this.#statements.of('SELECT file_id, outbox FROM taken').all();
    return new Map(rows.map((row) => [String(row['file_id']), Number(row['outbox'])]));
  }

  /** Reads what is not indexed yet, for a writer that goes on; `false` where the index is not one of these records. */
  resumeIndex(): boolean {
    return this.#resumed() !== null;
  }

  /** Writes a batch, on disk when this returns; throws what SQLite throws, and nothing of it is kept. */
  append({ rows, state, taken }: SegmentBatch): void {
    this.#written(() => {
      this.#indexing().add(rows);
      const insert = this.#statements.of('INSERT INTO records VALUES (?,?,?)');
      for (const { seq, keys, bytes } of rows) insert.run(seq, keyBytes(keys), bytes);
      this.#statements.of('UPDATE log SET range = ?, head = ?').run(rangeBytes(state.range), state.head);
      writeTaken(this.#statements, taken);
    });
  }

  /** Keeps a checkpoint, on disk when this returns: before anybody is shown it. */
  keep(checkpoint: KeptCheckpoint): void {
    this.#written(() => this.checkpoints.add(checkpoint));
  }

  /** Brings all records into the index, on disk when this returns: for a segment that gets no more of them. */
  finishIndex(): void {
    this.#written(() => this.#indexing().finish());
  }

  /** The leaves from a number on, in their order. */
  *leaves(fromSeq: number): Generator<PlacedLeaf> {
    const leaves = this.#statements.another('SELECT seq, bytes FROM records WHERE seq >= ? ORDER BY seq');
    for (const row of leaves.iterate(fromSeq)) yield leafFrom(row);
  }

  /** All leaves with the keys they are stored under. */
  *keyedLeaves(): Generator<PlacedLeaf & { readonly keys: Uint8Array }> {
    const leaves = this.#statements.another('SELECT seq, keys, bytes FROM records ORDER BY seq');
    for (const row of leaves.iterate()) yield { ...leafFrom(row), keys: row['keys'] as Uint8Array };
  }

  /** The first `PAGE_LEAVES` leaves that meet a condition. No statement stays open, so that no reader holds up the writer's file. */
  page({ condition: { where, values }, from, upto, isNewestFirst }: LeafPage): readonly PlacedLeaf[] {
    const order = isNewestFirst ? 'DESC' : 'ASC';
    const sql = `SELECT seq, bytes FROM records WHERE seq BETWEEN ? AND ? AND ${where} ORDER BY seq ${order} LIMIT ${PAGE_LEAVES}`;
    return this.#statements
      .of(sql)
      .all(from, upto, ...values)
      .map(leafFrom);
  }

  /** Looks a leaf up by its number, and gives it where it meets a condition. */
  leafAt({ where, values }: RecordCondition): (seq: number) => PlacedLeaf | undefined {
    const statement = this.#statements.of(`SELECT seq, bytes FROM records WHERE seq = ? AND ${where}`);
    return (seq) => {
      const row = statement.get(seq, ...values);
      return row === undefined ? undefined : leafFrom(row);
    };
  }

  /** What is read of a segment at one instant, beside a writer. */
  atOnce<T>(read: () => T): T {
    return this.#statements.read(read);
  }

  /** What SQLite finds wrong with the file, or how its tables are not those of a segment; `null` for nothing. */
  damage(): string | null {
    const found = scalar(this.#db, 'PRAGMA integrity_check(1)');
    return found === 'ok' ? tableProblem(this.#db, segmentFormat, createSegment) : String(found);
  }

  /** Copies the file as it is at one instant, beside a writer, into a new one. Rejects with what SQLite or the system says. */
  copyTo(path: string, onBytes: (bytes: number) => void): Promise<void> {
    return copyDatabase(this.#db, path, onBytes);
  }

  /** Bytes of the file once all that is in its log is in it. */
  bytes(): number {
    return Number(this.#statements.of('PRAGMA page_count').get()?.['page_count']) * this.#pageBytes;
  }

  close(): void {
    if (this.#db.isOpen) this.#db.close();
  }

  #indexing(): IndexWriter {
    const writer = this.#resumed();
    // It was one of these records when this process began to write.
    if (writer === null) throw new Error(`the index of \`${this.path}\` is not that of its records any more`);
    return writer;
  }

  #resumed(): IndexWriter | null {
    return (this.#indexWriter ??= IndexWriter.resume(this.#statements, this.index, this.state().range.size));
  }

  #written(work: () => void): void {
    try {
      this.#statements.written(work);
    } catch (error) {
      // What it took is not in the file.
      this.#indexWriter = null;
      throw error;
    }
  }
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

/** STRICT: the columns are INTEGER and BLOB. */
const leafFrom = (row: Row): PlacedLeaf => ({ seq: Number(row['seq']), bytes: row['bytes'] as Uint8Array });
