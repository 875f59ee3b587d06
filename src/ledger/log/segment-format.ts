import type { DatabaseSync } from 'node:sqlite';
import type { FileFormat } from '../../sqlite/file-format.ts';

/** `Reml`. */
const APPLICATION_ID = 0x52656d6c;

/**
 * 3: nothing is given up without a `pruned` record, so that a log of version 2 cannot tell what was deleted from it, and is not gone on
 * with. Its tables are the same, so it is read. Segments are signed: no step brings an older one up to date. A version 4 is to be one
 * that begins a new segment after the last of version 3, and reads both.
 */
const SCHEMA_VERSION = 3;
const ALSO_READ = [2];

/**
 * A segment of the log. `log` holds what came before it, as the tree needs it, and where the log stands; `taken` is how far the
 * outbox of each state file has been taken. What a record is found by is in its bytes, as keys beside them, and in the index: blocks of
 * records that follow each other up to one number, each with `DRAWERS` drawers of entries whose ids follow each other too.
 * INVARIANT: `tableProblem` compares this text, so that no word of it changes without a new version.
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
  alsoRead: ALSO_READ,
  ifOlder:
    'move the folder of this ledger away, name its new place in `ledger.others` for timelines, and verify it there with its own key and anchors; a new ledger is begun in its place',
};

/** Makes the tables of a segment. */
export const createSegment = (db: DatabaseSync): void => db.exec(SCHEMA);
