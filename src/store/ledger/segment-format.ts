import type { DatabaseSync } from 'node:sqlite';
import type { FileFormat } from '../sqlite-file.ts';

/** `Reml`. */
const APPLICATION_ID = 0x52656d6c;

const SCHEMA_VERSION = 1;

/**
 * A segment of the log. `log` holds what came before it, as the tree needs it, and where the log stands; the columns of
 * `records` beside `bytes` are for finding and say nothing that the bytes do not. `taken` is how far the outbox of each state
 * file has been taken.
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
  at_ms INTEGER NOT NULL,
  kind TEXT NOT NULL,
  task TEXT,
  agent TEXT,
  action TEXT,
  decision TEXT,
  decision_id TEXT,
  trace_id TEXT,
  bytes BLOB NOT NULL
) STRICT;
CREATE INDEX records_task ON records (task, seq) WHERE task IS NOT NULL;
CREATE INDEX records_decision ON records (decision_id) WHERE decision_id IS NOT NULL;
CREATE INDEX records_trace ON records (trace_id, seq) WHERE trace_id IS NOT NULL;
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
