/** `Remt`: marks the file as ours, so that no other database is taken for one. */
export const APPLICATION_ID = 0x52656d74;

/** The one version of the schema this build reads and writes; a file of another is refused. */
export const SCHEMA_VERSION = 1;

/**
 * The tables. Records are BLOB, since `node:sqlite` cuts TEXT at U+0000 on some versions of Node; text that comes into the
 * other tables is refused where it holds one.
 */
export const SCHEMA = `
CREATE TABLE tasks (
  issuer TEXT NOT NULL,
  id TEXT NOT NULL,
  agent TEXT NOT NULL,
  purpose TEXT NOT NULL,
  intent_hash TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('active', 'suspended', 'completed', 'cancelled', 'revoked', 'expired')),
  created_ms INTEGER NOT NULL,
  deadline_ms INTEGER NOT NULL,
  ended_ms INTEGER,
  end_cause TEXT,
  trace_id TEXT NOT NULL,
  span_id TEXT NOT NULL,
  details TEXT NOT NULL,
  PRIMARY KEY (issuer, id),
  CHECK ((ended_ms IS NULL) = (state IN ('active', 'suspended')))
) STRICT, WITHOUT ROWID;
CREATE INDEX tasks_open ON tasks (deadline_ms) WHERE ended_ms IS NULL;
CREATE INDEX tasks_created ON tasks (created_ms);
CREATE INDEX tasks_id ON tasks (id);
CREATE TABLE tokens (
  jti_digest TEXT PRIMARY KEY,
  issuer TEXT NOT NULL,
  task TEXT NOT NULL,
  audience TEXT NOT NULL,
  issued_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  FOREIGN KEY (issuer, task) REFERENCES tasks (issuer, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_task ON tokens (issuer, task);
CREATE TABLE records (
  seq INTEGER PRIMARY KEY,
  task TEXT,
  at_ms INTEGER NOT NULL,
  kind TEXT NOT NULL,
  bytes BLOB NOT NULL
) STRICT;
CREATE INDEX records_task ON records (task, seq) WHERE task IS NOT NULL;
CREATE TABLE clock (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  max_wall_seen_ms INTEGER NOT NULL
) STRICT;
INSERT INTO clock VALUES (1, 0);
PRAGMA application_id = ${APPLICATION_ID};
PRAGMA user_version = ${SCHEMA_VERSION};
`;
