import type { DatabaseSync } from 'node:sqlite';
import { isProblem } from '../../core/runtime/problem.ts';
import type { FileFormat } from '../../core/sqlite/file-format.ts';
import { openSqlite } from '../../core/sqlite/sqlite-file.ts';
import { scalar } from '../../core/sqlite/scalar.ts';
import { failureOfSqlite } from '../../core/sqlite/sqlite-failure.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../core/runtime/store-failure.ts';
import { rangeBytes, rangeFrom } from '../../core/ledger/proof/compact-range.ts';
import { HASH_BYTES } from '../../core/ledger/proof/merkle.ts';
import { noteKeyFrom, noteKeyText } from '../../core/ledger/proof/note-key.ts';
import { newEmitter } from './emitter.ts';
import type { Emitter } from './emitter.ts';
import type { EmitterHead, EmitterHeads, EmitterState } from './record-store.ts';

/** ASCII `Reme`. */
const APPLICATION_ID = 0x52656d65;
const SCHEMA_VERSION = 1;
const SCHEMA = `
CREATE TABLE emitters (
  origin TEXT PRIMARY KEY,
  verifier_key TEXT NOT NULL,
  id TEXT NOT NULL,
  range BLOB NOT NULL,
  head BLOB NOT NULL,
  signed INTEGER NOT NULL,
  state TEXT NOT NULL,
  at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
PRAGMA application_id = ${APPLICATION_ID};
PRAGMA user_version = ${SCHEMA_VERSION};
`;

const format: FileFormat = {
  name: 'emitter file',
  applicationId: APPLICATION_ID,
  version: SCHEMA_VERSION,
  ifOlder: 'move it away: every sidecar then sends its log from its first record',
};

const create = (db: DatabaseSync): void => db.exec(SCHEMA);
const MAX_BYTES = 1024 ** 3;
const DAY_MS = 86_400_000;
/** How long a log that ended without a record is remembered. */
const EMPTY_MS = 7 * DAY_MS;
/** Bytes of the file from which logs that ended are forgotten after a day, although their records are kept. */
const CROWDED_BYTES = MAX_BYTES / 2;
/** Rows that are looked at as a log ends, in the order of their keys, since each write holds up the process. */
const SWEPT_ROWS = 500;

/** How long logs are remembered. */
export interface EmitterMemory {
  readonly nowMs: () => number;
  /** How long records are kept, and so the owner of their log after it ended, so that no other sidecar can continue it. Default 400 days. */
  readonly recordsMs?: number;
}

type Row = Readonly<Record<string, unknown>>;

/**
 * How far each emitter is kept, in an SQLite file of a single process, created if missing. Every write is synced. A log that ended is
 * forgotten once its records are too old to be kept: should it return, it is received from its first record.
 */
export function openEmitterFile(
  path: string,
  { nowMs, recordsMs = 400 * DAY_MS }: EmitterMemory,
): EmitterHeads | StoreFailure {
  const db = openSqlite(path, { format, maxBytes: MAX_BYTES, access: 'create', create });
  if (isStoreFailure(db)) return db;
  const find = db.prepare('SELECT * FROM emitters WHERE origin = ?');
  const open = db.prepare(`SELECT * FROM emitters WHERE state = 'open'`);
  const write = db.prepare('INSERT OR REPLACE INTO emitters VALUES (?,?,?,?,?,?,?,?)');
  const forget = forgetting(db, recordsMs);
  let isStarted = false;
  return {
    claim: async (name) =>
      guarded(() => {
        const row = find.get(name.origin);
        if (row === undefined) return { emitter: newEmitter(name), state: 'lost', term: 0 } as const;
        const head = storedHeadFrom(row);
        return typeof head === 'string' ? { problem: `the emitter file ${head}` } : head;
      }),
    keep: async (heads) =>
      guarded(() => {
        db.exec('BEGIN IMMEDIATE');
        try {
          const atMs = nowMs();
          for (const head of heads) write.run(...rowOf(head), atMs);
          if (heads.some(({ state }) => state !== 'open')) forget(atMs);
          db.exec('COMMIT');
          return [];
        } finally {
          if (db.isTransaction) db.exec('ROLLBACK');
        }
      }),
    abandoned: async () => {
      if (isStarted) return [];
      isStarted = true;
      // A damaged row holds up no other log: its own log is refused by `claim`.
      return guarded(() =>
        open
          .all()
          .map(storedHeadFrom)
          .filter((head) => typeof head !== 'string'),
      );
    },
    isFirst: () => true,
    close: async () => db.close(),
  };
}

/** Forgets ended logs whose time is over, among the next rows by key. */
function forgetting(db: DatabaseSync, recordsMs: number): (nowMs: number) => void {
  const rows = db.prepare('SELECT origin FROM emitters WHERE origin > ? ORDER BY origin LIMIT ?');
  const remove = db.prepare(
    `DELETE FROM emitters WHERE origin > ? AND origin <= ? AND state <> 'open'
       AND at_ms < CASE WHEN length(head) = 0 THEN ? ELSE ? END`,
  );
  const pages = (what: 'page_count' | 'freelist_count' | 'page_size'): number => Number(scalar(db, `PRAGMA ${what}`));
  let from = '';
  return (nowMs) => {
    const swept = rows.all(from, SWEPT_ROWS);
    const to = String(swept.at(-1)?.['origin'] ?? '');
    const isCrowded = (pages('page_count') - pages('freelist_count')) * pages('page_size') > CROWDED_BYTES;
    const [emptyMs, keptMs] = isCrowded ? [DAY_MS, DAY_MS] : [EMPTY_MS, Math.max(EMPTY_MS, recordsMs + DAY_MS)];
    remove.run(from, to, nowMs - emptyMs, nowMs - keptMs);
    from = swept.length < SWEPT_ROWS ? '' : to;
  };
}

function guarded<T>(work: () => T): T | { readonly problem: string } {
  try {
    return work();
  } catch (error) {
    const failure = failureOfSqlite(error);
    if (failure === null) throw error;
    return { problem: failure.detail.replaceAll('the state file', 'the emitter file') };
  }
}

const rowOf = ({ emitter, state }: EmitterHead) => {
  const { origin, key, id, range, prev, signed } = emitter;
  return [origin, noteKeyText(key), id, rangeBytes(range), prev ?? new Uint8Array(), signed, state] as const;
};

const STATES: readonly unknown[] = ['open', 'left', 'lost'] satisfies readonly EmitterState[];

/** The head in a row, or what is wrong with the row. */
function storedHeadFrom(row: Row): EmitterHead | string {
  const { origin, head, state, signed } = row;
  const key = noteKeyFrom(String(row['verifier_key']));
  const range = row['range'] instanceof Uint8Array ? rangeFrom(row['range']) : null;
  const isHash = head instanceof Uint8Array && (head.length === 0 || head.length === HASH_BYTES);
  if (isProblem(key) || key.name !== origin || range === null || !isHash || !STATES.includes(state))
    return `is damaged in the row of \`${String(origin)}\``;
  const prev = head.length === 0 ? null : head;
  const emitter: Emitter = { origin: key.name, key, id: String(row['id']), range, prev, signed: Number(signed) };
  // Checked above.
  return { emitter, state: state as EmitterState, term: 0 };
}

/** Reads the heads in a file, or in a copy of it, without changing it: for each row its head, or what is wrong with the row. */
export function emitterHeadsIn(path: string): readonly (EmitterHead | string)[] | StoreFailure {
  const db = openSqlite(path, { format, maxBytes: MAX_BYTES, access: 'look' });
  if (isStoreFailure(db)) return db;
  try {
    return guardedRead(() => db.prepare('SELECT * FROM emitters').all().map(storedHeadFrom));
  } finally {
    db.close();
  }
}

function guardedRead<T>(read: () => T): T | StoreFailure {
  try {
    return read();
  } catch (error) {
    const failure = failureOfSqlite(error);
    if (failure === null) throw error;
    return failure;
  }
}
