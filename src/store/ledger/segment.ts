import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite';
import { rangeBytes, rangeFrom } from '../../ledger/compact-range.ts';
import type { CompactRange } from '../../ledger/compact-range.ts';
import type { Listing } from '../../ledger/listing.ts';
import { openSqlite, scalar } from '../sqlite-file.ts';
import { failureOfSqlite, isStoreFailure, storeFailure } from '../store-failure.ts';
import type { StoreFailure } from '../store-failure.ts';
import { createSegment, segmentFormat } from './segment-format.ts';

/** Where a log stands after a record: what the tree and the next record need. */
export interface LogState {
  readonly range: CompactRange;
  /** Leaf hash of the last record; empty before the first. */
  readonly head: Uint8Array;
}

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

/** A record as a row: its leaf, and what it can be found by. */
export interface SegmentRow extends Listing {
  readonly seq: number;
  readonly bytes: Uint8Array;
}

/** A leaf with its place. */
export interface PlacedLeaf {
  readonly seq: number;
  readonly bytes: Uint8Array;
}

/** Which leaves of a segment are asked for. */
export interface LeafPage {
  /** SQL of this room, never of a user, with its values. */
  readonly where: string;
  readonly values: readonly (string | number)[];
  /** Leaves after this number in the order asked for: 0 or infinity for the first ones. */
  readonly beyond: number;
  readonly isNewestFirst: boolean;
}

/** Leaves of a page at most: a record has 64 KiB at most. */
export const PAGE_LEAVES = 256;

/** A checkpoint as it is kept: the signed note and the tree it was made of. */
export interface KeptCheckpoint {
  readonly atMs: number;
  readonly range: CompactRange;
  readonly note: string;
}

/** Rows written at once, where the log stands after them, and how far the outboxes were taken for them. */
export interface SegmentBatch {
  readonly rows: readonly SegmentRow[];
  readonly state: LogState;
  readonly taken: ReadonlyMap<string, number>;
}

/** No segment may grow beyond this, whatever its limit: a page count that SQLite holds it to. */
const MAX_BYTES = 64 * 1024 ** 3;

/** How a segment is opened: `start` makes one; `write` goes on with it; `read` looks at it beside the process that writes. */
export type SegmentAccess = { readonly start: SegmentStart } | 'write' | 'read';

/**
 * One segment of a log: an SQLite file with its records, its checkpoints, and the tree before its first record. Synchronous;
 * the log's thread writes it, anyone may read. Lives until `close`.
 */
export class Segment {
  readonly path: string;
  readonly origin: string;
  readonly carried: LogState;
  readonly createdMs: number;
  readonly #db: DatabaseSync;
  readonly #pageBytes: number;
  readonly #statements = new Map<string, StatementSync>();

  private constructor(path: string, db: DatabaseSync, row: Readonly<Record<string, SQLOutputValue>>) {
    this.path = path;
    this.#db = db;
    this.#pageBytes = Number(scalar(db, 'PRAGMA page_size'));
    this.origin = String(row['origin']);
    this.carried = { range: mustRange(row['carried']), head: blob(row['carried_head']) };
    this.createdMs = Number(row['created_ms']);
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
      if (access !== 'read') db.exec(CHECKPOINT_RARELY);
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
    const row = this.#one('SELECT range, head FROM log');
    return { range: mustRange(row['range']), head: blob(row['head']) };
  }

  /** How far the outbox of each state file has been taken. */
  taken(): ReadonlyMap<string, number> {
    const rows = this.#statement('SELECT file_id, outbox FROM taken').all();
    return new Map(rows.map((row) => [String(row['file_id']), Number(row['outbox'])]));
  }

  /** Writes a batch, on disk when this returns; throws what SQLite throws, and nothing of it is kept. */
  append({ rows, state, taken }: SegmentBatch): void {
    this.#transaction(() => {
      const insert = this.#statement('INSERT INTO records VALUES (?,?,?,?,?,?,?,?,?,?)');
      for (const row of rows) {
        insert.run(
          row.seq,
          row.at,
          row.kind,
          row.task,
          row.agent,
          row.action,
          row.decision,
          row.decisionId,
          row.traceId,
          row.bytes,
        );
      }
      this.#statement('UPDATE log SET range = ?, head = ?').run(rangeBytes(state.range), state.head);
      writeTaken(this.#statement(WRITE_TAKEN), taken);
    });
  }

  /** Keeps a checkpoint, on disk when this returns: before anybody is shown it. */
  keep(checkpoint: KeptCheckpoint): void {
    this.#transaction(() => writeCheckpoint(this.#statement(WRITE_CHECKPOINT), checkpoint));
  }

  /** The last checkpoint of this segment. */
  lastCheckpoint(): KeptCheckpoint | null {
    const row = this.#statement('SELECT * FROM checkpoints ORDER BY size DESC LIMIT 1').get();
    return row === undefined ? null : checkpointFrom(row);
  }

  /** The notes of all checkpoints of this segment, by size; the first may be one carried over. */
  *notes(): Generator<string> {
    for (const row of this.#db.prepare('SELECT note FROM checkpoints ORDER BY size').iterate())
      yield String(row['note']);
  }

  /** The leaves from a number on, in their order. */
  *leaves(fromSeq: number): Generator<{ readonly seq: number; readonly bytes: Uint8Array }> {
    const sql = 'SELECT seq, bytes FROM records WHERE seq >= ? ORDER BY seq';
    for (const row of this.#db.prepare(sql).iterate(fromSeq)) {
      yield { seq: Number(row['seq']), bytes: blob(row['bytes']) };
    }
  }

  /** All rows, in their order. */
  *rows(): Generator<SegmentRow> {
    for (const row of this.#db.prepare('SELECT * FROM records ORDER BY seq').iterate()) {
      yield {
        seq: Number(row['seq']),
        at: Number(row['at_ms']),
        kind: String(row['kind']),
        task: textOrNull(row['task']),
        agent: textOrNull(row['agent']),
        action: textOrNull(row['action']),
        decision: textOrNull(row['decision']),
        decisionId: textOrNull(row['decision_id']),
        traceId: textOrNull(row['trace_id']),
        bytes: blob(row['bytes']),
      };
    }
  }

  /** The next `PAGE_LEAVES` leaves that meet a condition. No statement stays open, so that no reader holds up the writer's file. */
  page({ where, values, beyond, isNewestFirst }: LeafPage): readonly PlacedLeaf[] {
    const [after, order] = isNewestFirst ? ['<', 'DESC'] : ['>', 'ASC'];
    const sql = `SELECT seq, bytes FROM records WHERE seq ${after} ? AND ${where} ORDER BY seq ${order} LIMIT ${PAGE_LEAVES}`;
    const bound = Math.min(beyond, Number.MAX_SAFE_INTEGER);
    return this.#statement(sql)
      .all(bound, ...values)
      .map((row) => ({ seq: Number(row['seq']), bytes: blob(row['bytes']) }));
  }

  /** The checkpoint of the largest size up to `size`, or the one of the smallest from it on. */
  checkpointNear(size: number, side: 'up-to' | 'from'): KeptCheckpoint | null {
    const [compare, order] = side === 'from' ? ['>=', 'ASC'] : ['<=', 'DESC'];
    const sql = `SELECT * FROM checkpoints WHERE size ${compare} ? ORDER BY size ${order} LIMIT 1`;
    const row = this.#statement(sql).get(size);
    return row === undefined ? null : checkpointFrom(row);
  }

  /** What SQLite finds wrong with the file: what is found by an index must be what is there. `null` for nothing. */
  damage(): string | null {
    const found = scalar(this.#db, 'PRAGMA integrity_check(1)');
    return found === 'ok' ? null : String(found);
  }

  /** Bytes of the file once all that is in its log is in it. */
  bytes(): number {
    return Number(Object.values(this.#one('PRAGMA page_count'))[0]) * this.#pageBytes;
  }

  close(): void {
    if (this.#db.isOpen) this.#db.close();
  }

  #transaction(work: () => void): void {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      work();
      this.#db.exec('COMMIT');
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
  }

  #one(sql: string): Readonly<Record<string, SQLOutputValue>> {
    return this.#statement(sql).get() ?? {};
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

/** At 16 MiB: a page of an index that many commits change goes from the log of SQLite into the file once for all of them. */
const CHECKPOINT_RARELY = 'PRAGMA wal_autocheckpoint = 4000';

const hasTables = (db: DatabaseSync): boolean => scalar(db, 'SELECT count(*) FROM sqlite_schema') !== 0;

const WRITE_TAKEN = 'INSERT INTO taken VALUES (?1,?2) ON CONFLICT DO UPDATE SET outbox = ?2';

function writeTaken(write: StatementSync, taken: ReadonlyMap<string, number>): void {
  for (const [file, outbox] of taken) write.run(file, outbox);
}

const WRITE_CHECKPOINT = 'INSERT INTO checkpoints (size, at_ms, range, note) VALUES (?,?,?,?)';

function writeCheckpoint(write: StatementSync, { atMs, range, note }: KeptCheckpoint): void {
  write.run(range.size, atMs, rangeBytes(range), note);
}

function begin(db: DatabaseSync, { origin, carried, createdMs, taken, checkpoint }: SegmentStart): void {
  if (db.prepare('SELECT 1 FROM log').get() !== undefined) return;
  db.exec('BEGIN IMMEDIATE');
  const range = rangeBytes(carried.range);
  db.prepare('INSERT INTO log VALUES (1,?,?,?,?,?,?)').run(origin, range, carried.head, range, carried.head, createdMs);
  writeTaken(db.prepare(WRITE_TAKEN), taken);
  if (checkpoint !== null) writeCheckpoint(db.prepare(WRITE_CHECKPOINT), checkpoint);
  db.exec('COMMIT');
}

const checkpointFrom = (row: Readonly<Record<string, SQLOutputValue>>): KeptCheckpoint => ({
  atMs: Number(row['at_ms']),
  range: mustRange(row['range']),
  note: String(row['note']),
});

/** STRICT: the column is a BLOB. */
const blob = (value: SQLOutputValue | undefined): Uint8Array => value as Uint8Array;

const textOrNull = (value: SQLOutputValue | undefined): string | null => (typeof value === 'string' ? value : null);

function mustRange(value: SQLOutputValue | undefined): CompactRange {
  const range = rangeFrom(blob(value));
  if (range === null) throw new Error('the tree of a segment is damaged');
  return range;
}
