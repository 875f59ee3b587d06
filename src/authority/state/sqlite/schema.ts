import type { DatabaseSync } from 'node:sqlite';
import type { FileFormat, SchemaStep } from '../../../core/sqlite/file-format.ts';

/** `Remt`. */
const APPLICATION_ID = 0x52656d74;

const SCHEMA_VERSION = 15;

/**
 * When the file was restored from a backup, in milliseconds since the Unix epoch by its own clock. No row if it never was. Since version
 * 9.
 */
const RESTORED = `
CREATE TABLE restored (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  at_ms INTEGER NOT NULL
) STRICT;
`;

/**
 * The feed of changes for readers on other connections (`feed-table.ts`), and the settled decisions (`settled-table.ts`). Since version 10.
 */
const FEED_AND_SETTLED = `
CREATE TABLE feed (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  root TEXT NOT NULL,
  is_history INTEGER NOT NULL
) STRICT;
CREATE TABLE settled (
  decision TEXT PRIMARY KEY,
  at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX settled_at ON settled (at_ms);
`;

/** What each process reported of the uses of a token (`token-uses-table.ts`). Since version 11. */
const TOKEN_USES = `
CREATE TABLE token_uses (
  jti_digest TEXT NOT NULL,
  reporter TEXT NOT NULL,
  first_ms INTEGER NOT NULL,
  last_ms INTEGER NOT NULL,
  uses INTEGER NOT NULL CHECK (uses > 0),
  trace_id TEXT,
  span_id TEXT,
  allowed TEXT,
  PRIMARY KEY (jti_digest, reporter),
  FOREIGN KEY (jti_digest) REFERENCES tokens (jti_digest) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
`;

/** What stopped the tasks of agents (`core/task/stop.ts`). Since version 12. */
const STOPS = `
CREATE TABLE stops (
  issuer TEXT NOT NULL,
  agent TEXT NOT NULL,
  subject TEXT NOT NULL,
  action TEXT NOT NULL,
  task TEXT NOT NULL,
  cause TEXT NOT NULL,
  since_ms INTEGER NOT NULL,
  ended_ms INTEGER,
  PRIMARY KEY (issuer, agent, subject, action, task),
  CHECK ((ended_ms IS NULL) = (task > ''))
) STRICT, WITHOUT ROWID;
CREATE INDEX stops_task ON stops (task, issuer) WHERE task > '';
CREATE INDEX stops_ended ON stops (ended_ms) WHERE ended_ms IS NOT NULL;
`;

/** The orders of operators (`core/order/order.ts`), as JSON. Since version 13. */
const ORDERS = `
CREATE TABLE orders (
  id TEXT PRIMARY KEY,
  of TEXT NOT NULL CHECK (of IN ('stop', 'observe')),
  until_ms INTEGER,
  body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX orders_until ON orders (until_ms) WHERE until_ms IS NOT NULL;
`;

/**
 * The counters of limits over all tasks (`core/limit`), and the digests of the values that counters of distinct values have seen.
 * Since version 14.
 */
const LIMITS = `
CREATE TABLE limit_counts (
  limit_id TEXT NOT NULL,
  measure TEXT NOT NULL,
  who TEXT NOT NULL,
  starts_ms INTEGER NOT NULL,
  ends_ms INTEGER NOT NULL,
  used INTEGER NOT NULL CHECK (used >= 0),
  max INTEGER NOT NULL CHECK (max >= 0),
  PRIMARY KEY (limit_id, measure, who, starts_ms, ends_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX limit_counts_ended ON limit_counts (ends_ms);
CREATE TABLE limit_values (
  limit_id TEXT NOT NULL,
  who TEXT NOT NULL,
  starts_ms INTEGER NOT NULL,
  ends_ms INTEGER NOT NULL,
  digest TEXT NOT NULL,
  PRIMARY KEY (limit_id, who, starts_ms, ends_ms, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX limit_values_ended ON limit_values (ends_ms);
`;

/**
 * What waits to be sent to receivers of signals, and those receivers (`core/state/signal-queue.ts`), with how many of their signals were deleted
 * undelivered since the last claim. Since version 15.
 */
const SIGNALS = `
CREATE TABLE signal_receivers (
  name TEXT PRIMARY KEY,
  seen_ms INTEGER NOT NULL,
  dropped INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE signals (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  receiver TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  rank INTEGER NOT NULL,
  bytes BLOB NOT NULL
) STRICT;
CREATE INDEX signals_receiver ON signals (receiver, rank, seq);
`;

/** The stops of tasks that were already suspended. It is not known since when, so the instant is that of their acceptance. */
const STOPS_OF_SUSPENDED = `
INSERT OR IGNORE INTO stops
  SELECT t.issuer, t.agent, '', a.value, t.id, t.cause, t.created_ms, NULL
  FROM tasks t, json_each(t.details) d, json_each(d.value, '$.actions') a
  WHERE t.state = 'suspended'
    AND (t.cause LIKE 'operator.%' OR t.cause LIKE 'signal.%' OR t.cause IN ('context.changed', 'binding.violation'));
`;

/** Length of the key for digests of secrets. The key is made with the file. */
const DIGEST_KEY_BYTES = 32;

/**
 * The tables.
 *
 * The outbox holds records until they are in the ledger. Its numbers are never reused, so that the ledger recognises those it has. Records
 * are BLOBs, since `node:sqlite` cuts TEXT at U+0000 on some versions of Node. Text for other tables is refused if it contains U+0000.
 *
 * Triggers enforce what no code may break: an ended task does not change, and neither an open task nor one of its tokens is deleted.
 * `task_counts` is kept by triggers, since counting 100,000 tasks takes 90 ms. `serving` has a row while a process serves with the
 * file; a row without such a process means that a process did not end cleanly. Triggers and not a foreign key guard the parent of a task:
 * with a foreign key SQLite reads all tasks of the issuer at each delete.
 */
const SCHEMA = `
CREATE TABLE tasks (
  issuer TEXT NOT NULL,
  id TEXT NOT NULL,
  agent TEXT NOT NULL,
  subject TEXT NOT NULL,
  parent TEXT,
  purpose TEXT NOT NULL,
  intent_hash TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('active', 'suspended', 'completed', 'cancelled', 'revoked', 'expired')),
  created_ms INTEGER NOT NULL,
  deadline_ms INTEGER NOT NULL,
  idle_ms INTEGER CHECK (idle_ms > 0),
  last_used_ms INTEGER NOT NULL,
  ended_ms INTEGER,
  cause TEXT,
  cause_note TEXT,
  trace_id TEXT NOT NULL,
  span_id TEXT NOT NULL,
  details TEXT NOT NULL,
  claimed TEXT NOT NULL,
  attested TEXT NOT NULL,
  context_rules TEXT NOT NULL,
  risk TEXT NOT NULL CHECK (risk IN ('low', 'medium', 'high')),
  generation INTEGER NOT NULL CHECK (generation > 0),
  PRIMARY KEY (issuer, id),
  CHECK ((ended_ms IS NULL) = (state IN ('active', 'suspended'))),
  CHECK ((cause IS NULL) = (state = 'active') AND (cause IS NULL) = (cause_note IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX tasks_due ON tasks (deadline_ms) WHERE ended_ms IS NULL;
CREATE INDEX tasks_idle_due ON tasks (last_used_ms + idle_ms) WHERE ended_ms IS NULL AND idle_ms IS NOT NULL;
CREATE INDEX tasks_idle ON tasks (id) WHERE ended_ms IS NULL AND idle_ms IS NOT NULL;
CREATE INDEX tasks_parent ON tasks (issuer, parent) WHERE ended_ms IS NULL AND parent IS NOT NULL;
CREATE INDEX tasks_part ON tasks (issuer, parent) WHERE parent IS NOT NULL;
CREATE INDEX tasks_ended ON tasks (ended_ms, issuer, id) WHERE ended_ms IS NOT NULL AND parent IS NULL;
CREATE INDEX tasks_agent ON tasks (agent) WHERE ended_ms IS NULL;
CREATE INDEX tasks_subject ON tasks (subject) WHERE ended_ms IS NULL;
CREATE INDEX tasks_created ON tasks (created_ms);
CREATE INDEX tasks_id ON tasks (id);
CREATE TRIGGER tasks_end_for_good BEFORE UPDATE ON tasks
  WHEN OLD.ended_ms IS NOT NULL OR NEW.generation < OLD.generation
  BEGIN SELECT RAISE(ABORT, 'an ended task does not change'); END;
CREATE TRIGGER tasks_have_their_parent BEFORE INSERT ON tasks WHEN NEW.parent IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM tasks WHERE issuer = NEW.issuer AND id = NEW.parent)
  BEGIN SELECT RAISE(ABORT, 'a part has the task it is a part of'); END;
CREATE TRIGGER tasks_with_parts_stay BEFORE DELETE ON tasks WHEN EXISTS (
  SELECT 1 FROM tasks INDEXED BY tasks_part WHERE issuer = OLD.issuer AND parent = OLD.id AND parent IS NOT NULL)
  BEGIN SELECT RAISE(ABORT, 'a task with parts is not deleted'); END;
CREATE TRIGGER tasks_open_stay BEFORE DELETE ON tasks WHEN OLD.ended_ms IS NULL
  BEGIN SELECT RAISE(ABORT, 'an open task is not deleted'); END;
CREATE TABLE task_counts (
  state TEXT PRIMARY KEY CHECK (state IN ('active', 'suspended', 'ended')),
  count INTEGER NOT NULL CHECK (count >= 0)
) STRICT, WITHOUT ROWID;
INSERT INTO task_counts VALUES ('active', 0), ('suspended', 0), ('ended', 0);
CREATE TRIGGER tasks_counted_in AFTER INSERT ON tasks
  BEGIN UPDATE task_counts SET count = count + 1 WHERE state = iif(NEW.ended_ms IS NULL, NEW.state, 'ended'); END;
CREATE TRIGGER tasks_counted AFTER UPDATE OF state ON tasks WHEN OLD.state <> NEW.state
  BEGIN
    UPDATE task_counts SET count = count - 1 WHERE state = OLD.state;
    UPDATE task_counts SET count = count + 1 WHERE state = iif(NEW.ended_ms IS NULL, NEW.state, 'ended');
  END;
CREATE TRIGGER tasks_counted_out AFTER DELETE ON tasks
  BEGIN UPDATE task_counts SET count = count - 1 WHERE state = 'ended'; END;
CREATE TABLE tokens (
  jti_digest TEXT PRIMARY KEY,
  issuer TEXT NOT NULL,
  task TEXT NOT NULL,
  audience TEXT NOT NULL,
  issued_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  revoked_ms INTEGER,
  bound_to TEXT NOT NULL,
  FOREIGN KEY (issuer, task) REFERENCES tasks (issuer, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_task ON tokens (issuer, task);
CREATE TRIGGER tokens_of_open_tasks_stay BEFORE DELETE ON tokens
  WHEN (SELECT ended_ms FROM tasks WHERE issuer = OLD.issuer AND id = OLD.task) IS NULL
  BEGIN SELECT RAISE(ABORT, 'a token of an open task is not deleted'); END;
CREATE TABLE budgets (
  issuer TEXT NOT NULL,
  task TEXT NOT NULL,
  name TEXT NOT NULL,
  spent INTEGER NOT NULL CHECK (spent >= 0),
  PRIMARY KEY (issuer, task, name),
  FOREIGN KEY (issuer, task) REFERENCES tasks (issuer, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE histories (
  issuer TEXT NOT NULL,
  task TEXT NOT NULL,
  version INTEGER NOT NULL CHECK (version > 0),
  actions TEXT NOT NULL,
  labels TEXT NOT NULL,
  PRIMARY KEY (issuer, task),
  FOREIGN KEY (issuer, task) REFERENCES tasks (issuer, id)
) STRICT;
CREATE TABLE static_secrets (
  digest TEXT NOT NULL,
  agent TEXT NOT NULL,
  action TEXT NOT NULL,
  kind TEXT NOT NULL,
  place TEXT NOT NULL,
  first_seen_ms INTEGER NOT NULL,
  last_seen_ms INTEGER NOT NULL,
  count INTEGER NOT NULL CHECK (count > 0),
  PRIMARY KEY (digest, agent, action)
) STRICT, WITHOUT ROWID;
CREATE INDEX static_secrets_last_seen ON static_secrets (last_seen_ms);
CREATE TABLE digest_key (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  key BLOB NOT NULL CHECK (length(key) = ${DIGEST_KEY_BYTES})
) STRICT;
CREATE TABLE remembered (
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  until_ms INTEGER NOT NULL,
  PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX remembered_until ON remembered (until_ms);
CREATE TABLE outbox (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  task TEXT,
  at_ms INTEGER NOT NULL,
  kind TEXT NOT NULL,
  bytes BLOB NOT NULL
) STRICT;
CREATE INDEX outbox_task ON outbox (task, seq) WHERE task IS NOT NULL;
CREATE TABLE file (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  file_id TEXT NOT NULL
) STRICT;
INSERT INTO file VALUES (1, lower(hex(randomblob(16))));
CREATE TABLE serving (
  id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
CREATE TABLE clock (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  floor_ms INTEGER NOT NULL,
  boot_id TEXT,
  since_boot_ms INTEGER
) STRICT;
INSERT INTO clock VALUES (1, 0, NULL, NULL);
${RESTORED}
${FEED_AND_SETTLED}
${TOKEN_USES}
${STOPS}
${ORDERS}
${LIMITS}
${SIGNALS}
PRAGMA application_id = ${APPLICATION_ID};
PRAGMA user_version = ${SCHEMA_VERSION};
`;

/**
 * Migrations, from the first supported version. INVARIANT: a released step does not change, and its result is the text of `SCHEMA` to the
 * letter, since `tableProblem` compares the texts.
 */
const steps: readonly SchemaStep[] = [
  { from: 8, run: (db) => db.exec(RESTORED) },
  { from: 9, run: (db) => db.exec(FEED_AND_SETTLED) },
  { from: 10, run: (db) => db.exec(TOKEN_USES) },
  { from: 11, run: (db) => db.exec(STOPS + STOPS_OF_SUSPENDED) },
  { from: 12, run: (db) => db.exec(ORDERS) },
  { from: 13, run: (db) => db.exec(LIMITS) },
  { from: 14, run: (db) => db.exec(SIGNALS) },
];

/** The state file. */
export const stateFormat: FileFormat = {
  name: 'state file',
  applicationId: APPLICATION_ID,
  version: SCHEMA_VERSION,
  steps,
  ifOlder:
    'this build migrates from version 8 or later: let the tasks in the file end under the build that wrote it, move the file and its ledger away, and start with a new file; agents declare their tasks again',
  isShrinking: true,
};

/**
 * Creates the tables of a state file.
 * @param randomBytes cryptographically strong, for the key of digests
 */
export function createState(db: DatabaseSync, randomBytes: (length: number) => Uint8Array): void {
  db.exec(SCHEMA);
  db.prepare('INSERT INTO digest_key VALUES (1, ?)').run(randomBytes(DIGEST_KEY_BYTES));
}
