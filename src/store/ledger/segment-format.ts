import { DatabaseSync } from 'node:sqlite';
import type { FileFormat } from '../sqlite-file.ts';

/** `Reml`. */
const APPLICATION_ID = 0x52656d6c;

/** 3: nothing is given up without a `pruned` record, so that a log of an earlier version cannot tell what was deleted from it. */
const SCHEMA_VERSION = 3;

/**
 * A segment of the log. `log` holds what came before it, as the tree needs it, and where the log stands; `taken` is how far the
 * outbox of each state file has been taken. What a record is found by is in its bytes, as keys beside them, and in the index: blocks of
 * records that follow each other up to one number, each with `DRAWERS` drawers of entries whose ids follow each other too.
 * INVARIANT: `schemaProblem` compares this text, so that no word of it changes without a new version.
 */
const SCHEMA = `
CREATE TABLE log (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  origin TEXT NOT NULL,
  carried BLOB NOT NULL,
  carried_head BLOB NOT NULL,
  range BLOB NOT NULL,
  head BLOB NOT NULL,
  created_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE records (
  seq INTEGER PRIMARY KEY,
  keys BLOB NOT NULL,
  bytes BLOB NOT NULL
) STRICT;
CREATE TABLE index_blocks (
  block INTEGER PRIMARY KEY,
  upto INTEGER NOT NULL
) STRICT;
CREATE TABLE index_drawers (
  id INTEGER PRIMARY KEY,
  entries BLOB NOT NULL
) STRICT;
CREATE TABLE checkpoints (
  size INTEGER PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  range BLOB NOT NULL,
  note TEXT NOT NULL
) STRICT;
CREATE TABLE taken (
  file_id TEXT PRIMARY KEY,
  outbox INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
PRAGMA application_id = ${APPLICATION_ID};
PRAGMA user_version = ${SCHEMA_VERSION};
`;

/** A segment file. */
export const segmentFormat: FileFormat = {
  name: 'ledger segment',
  applicationId: APPLICATION_ID,
  version: SCHEMA_VERSION,
};

/** Makes the tables of a segment. */
export const createSegment = (db: DatabaseSync): void => db.exec(SCHEMA);

/**
 * How the tables of a segment are not those that `createSegment` makes; `null` where they are. What is read by another schema, an
 * index or a view of somebody else's, need not be what is there.
 */
export function schemaProblem(db: DatabaseSync): string | null {
  const own = new DatabaseSync(':memory:');
  try {
    createSegment(own);
    const [wanted, found] = [schemaOf(own), schemaOf(db)];
    const other = [
      ...found.filter((line) => !wanted.includes(line)),
      ...wanted.filter((line) => !found.includes(line)),
    ];
    return other[0] === undefined ? null : `its schema is not that of a ledger segment: ${other[0]}`;
  } finally {
    own.close();
  }
}

/** What is in a schema, a line each. */
const schemaOf = (db: DatabaseSync): readonly string[] =>
  db
    .prepare('SELECT type, name, tbl_name, sql FROM sqlite_schema')
    .all()
    .map((row) => Object.values(row).join(' '));
