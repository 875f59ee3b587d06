import type { DatabaseSync } from 'node:sqlite';
import type { FileFormat } from '../../../sqlite/file-format.ts';

/** ASCII `Reml`. */
const APPLICATION_ID = 0x52656d6c;

/**
 * 3: nothing is pruned without a `pruned` record. A log of version 2 cannot show what was deleted from it, so it is not
 * continued; its tables are equal, so it can be read. Segments are signed, so there are no migrations. Version 4 would have to
 * start a new segment after the last segment of version 3, and read both.
 */
const SCHEMA_VERSION = 3;
const ALSO_READ = [2];

/**
 * The schema of a segment. `log` holds the state before the first and after the last record; `taken` the highest outbox number
 * taken from each state file. Records are found by their number, by the keys beside them, and by the index: blocks of
 * consecutive records, each with `DRAWERS` drawers of entries with consecutive ids. INVARIANT: `tableProblem` compares this
 * text, so no word of it changes without a new version.
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

/** The file format of a segment. */
export const segmentFormat: FileFormat = {
  name: 'ledger segment',
  applicationId: APPLICATION_ID,
  version: SCHEMA_VERSION,
  alsoRead: ALSO_READ,
  ifOlder:
    'move the folder of this ledger away, name its new place in `ledger.others` for timelines, and verify it there with its own key and anchors; a new ledger is begun in its place',
};

/** Creates the tables of a segment. */
export const createSegment = (db: DatabaseSync): void => db.exec(SCHEMA);
