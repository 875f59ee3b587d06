-- A state file of schema version 14, as the last build with that version wrote it: tasks that are open, suspended, ended and a part,
-- spent budgets, a history, a revoked token, a replay key, the sighting of a secret, records that wait for the
-- ledger, a change in the feed, a settled decision, what stops an agent, a stop, and a limit that was used.
PRAGMA auto_vacuum = INCREMENTAL;
BEGIN;
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
CREATE TABLE task_counts (
  state TEXT PRIMARY KEY CHECK (state IN ('active', 'suspended', 'ended')),
  count INTEGER NOT NULL CHECK (count >= 0)
) STRICT, WITHOUT ROWID;
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
CREATE TABLE digest_key (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  key BLOB NOT NULL CHECK (length(key) = 32)
) STRICT;
CREATE TABLE remembered (
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  until_ms INTEGER NOT NULL,
  PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE outbox (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  task TEXT,
  at_ms INTEGER NOT NULL,
  kind TEXT NOT NULL,
  bytes BLOB NOT NULL
) STRICT;
CREATE TABLE file (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  file_id TEXT NOT NULL
) STRICT;
CREATE TABLE serving (
  id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
CREATE TABLE clock (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  floor_ms INTEGER NOT NULL,
  boot_id TEXT,
  since_boot_ms INTEGER
) STRICT;
CREATE TABLE restored (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  at_ms INTEGER NOT NULL
) STRICT;
INSERT INTO tasks VALUES ('https://issuer.acme.test', '0198c0de-0000-7000-8000-000000000001', 'spiffe://acme.test/ns/agents/sa/planner', 'spiffe://acme.test/ns/agents/sa/planner', NULL, 'pay the invoices of may', 'sha-256:x', 'active', 1, 100000, NULL, 1, NULL, NULL, NULL, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'bbbbbbbbbbbbbbbb', '[]', '{}', '[]', '{}', 'low', 1);
INSERT INTO tasks VALUES ('https://issuer.acme.test', '0198c0de-0000-7000-8000-000000000002', 'spiffe://acme.test/ns/agents/sa/planner', 'spiffe://acme.test/ns/agents/sa/planner', NULL, 'pay the invoices of may', 'sha-256:x', 'completed', 2, 100000, NULL, 2, 2000, 'operator.completed', '', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'bbbbbbbbbbbbbbbb', '[]', '{}', '[]', '{}', 'low', 1);
INSERT INTO tasks VALUES ('https://issuer.acme.test', '0198c0de-0000-7000-8000-000000000003', 'spiffe://acme.test/ns/agents/sa/planner', 'spiffe://acme.test/ns/agents/sa/planner', NULL, 'pay the invoices of may', 'sha-256:x', 'suspended', 3, 100000, 50000, 3, NULL, 'operator.suspended', '', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'bbbbbbbbbbbbbbbb', '[]', '{}', '[]', '{}', 'low', 1);
INSERT INTO tasks VALUES ('https://issuer.acme.test', '0198c0de-0000-7000-8000-000000000004', 'spiffe://acme.test/ns/agents/sa/planner', 'spiffe://acme.test/ns/agents/sa/planner', '0198c0de-0000-7000-8000-000000000001', 'pay the invoices of may', 'sha-256:x', 'active', 4, 100000, NULL, 4, NULL, NULL, NULL, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'bbbbbbbbbbbbbbbb', '[]', '{}', '[]', '{}', 'low', 1);
INSERT INTO task_counts VALUES ('active', 2);
INSERT INTO task_counts VALUES ('ended', 1);
INSERT INTO task_counts VALUES ('suspended', 1);
INSERT INTO tokens VALUES ('digest-1', 'https://issuer.acme.test', '0198c0de-0000-7000-8000-000000000001', 'https://payments.acme.test', 1, 300001, 1, NULL, 'ccccccccccccccccccccccccccccccccccccccccccc');
INSERT INTO tokens VALUES ('digest-2', 'https://issuer.acme.test', '0198c0de-0000-7000-8000-000000000002', 'https://payments.acme.test', 2, 300002, 1, NULL, 'ccccccccccccccccccccccccccccccccccccccccccc');
INSERT INTO tokens VALUES ('digest-3', 'https://issuer.acme.test', '0198c0de-0000-7000-8000-000000000003', 'https://payments.acme.test', 3, 300003, 1, NULL, 'ccccccccccccccccccccccccccccccccccccccccccc');
INSERT INTO tokens VALUES ('digest-4', 'https://issuer.acme.test', '0198c0de-0000-7000-8000-000000000004', 'https://payments.acme.test', 4, 300004, 1, 2000, 'ccccccccccccccccccccccccccccccccccccccccccc');
INSERT INTO budgets VALUES ('https://issuer.acme.test', '0198c0de-0000-7000-8000-000000000001', 'calls:', 3);
INSERT INTO budgets VALUES ('https://issuer.acme.test', '0198c0de-0000-7000-8000-000000000001', 'single-use:once', 1);
INSERT INTO histories VALUES ('https://issuer.acme.test', '0198c0de-0000-7000-8000-000000000001', 1, '["payments.read"]', '["pii"]');
INSERT INTO static_secrets VALUES ('hmac-sha-256:A4_TotMMQ8Qmo5IWWBKqW6HtHh9VunGq3sWE9jov0QE', 'spiffe://acme.test/a', 'payments.read', 'bearer', 'authorization', 2000, 2000, 2);
INSERT INTO digest_key VALUES (1, x'dd1ad0220b1ce01d7c0b7cddfec0ca87c7b969abf6c1812c2bffaa6399e820a5');
INSERT INTO remembered VALUES ('signal', 'key-1', 90000);
INSERT INTO outbox VALUES (2, '0198c0de-0000-7000-8000-000000000002', 2000, 'end', x'7b226174223a323030302c226279223a226f70657261746f7220616461222c226361757365223a226f70657261746f722e636f6d706c65746564222c226b696e64223a22656e64222c226e6f7465223a22222c227374617465223a22636f6d706c65746564222c227461736b223a2230313938633064652d303030302d373030302d383030302d303030303030303030303032227d');
INSERT INTO outbox VALUES (3, '0198c0de-0000-7000-8000-000000000003', 2000, 'event', x'7b226174223a323030302c226279223a226f70657261746f7220616461222c226361757365223a226f70657261746f722e73757370656e646564222c2264657461696c73223a7b7d2c226576656e74223a2273757370656e646564222c226b696e64223a226576656e74222c226e6f7465223a22222c227461736b223a2230313938633064652d303030302d373030302d383030302d303030303030303030303033227d');
INSERT INTO outbox VALUES (4, '0198c0de-0000-7000-8000-000000000004', 2000, 'event', x'7b226174223a323030302c226279223a226f70657261746f7220616461222c226361757365223a226f70657261746f722e7265766f6b6564222c2264657461696c73223a7b226a7469446967657374223a226469676573742d34227d2c226576656e74223a22746f6b656e2d7265766f6b6564222c226b696e64223a226576656e74222c226e6f7465223a227265766f6b656420627920616e206f70657261746f72222c227461736b223a2230313938633064652d303030302d373030302d383030302d303030303030303030303034227d');
INSERT INTO file VALUES (1, 'b0207ba80f8557e5321a5afdcaeb3933');
INSERT INTO clock VALUES (1, 2000, NULL, NULL);
UPDATE sqlite_sequence SET seq = 4 WHERE name = 'outbox';
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
CREATE TRIGGER tasks_counted_in AFTER INSERT ON tasks
  BEGIN UPDATE task_counts SET count = count + 1 WHERE state = iif(NEW.ended_ms IS NULL, NEW.state, 'ended'); END;
CREATE TRIGGER tasks_counted AFTER UPDATE OF state ON tasks WHEN OLD.state <> NEW.state
  BEGIN
    UPDATE task_counts SET count = count - 1 WHERE state = OLD.state;
    UPDATE task_counts SET count = count + 1 WHERE state = iif(NEW.ended_ms IS NULL, NEW.state, 'ended');
  END;
CREATE TRIGGER tasks_counted_out AFTER DELETE ON tasks
  BEGIN UPDATE task_counts SET count = count - 1 WHERE state = 'ended'; END;
CREATE INDEX tokens_task ON tokens (issuer, task);
CREATE TRIGGER tokens_of_open_tasks_stay BEFORE DELETE ON tokens
  WHEN (SELECT ended_ms FROM tasks WHERE issuer = OLD.issuer AND id = OLD.task) IS NULL
  BEGIN SELECT RAISE(ABORT, 'a token of an open task is not deleted'); END;
CREATE INDEX static_secrets_last_seen ON static_secrets (last_seen_ms);
CREATE INDEX remembered_until ON remembered (until_ms);
CREATE INDEX outbox_task ON outbox (task, seq) WHERE task IS NOT NULL;
CREATE TABLE feed (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  root TEXT NOT NULL,
  is_history INTEGER NOT NULL
) STRICT;
INSERT INTO feed VALUES (1, 'a-root', 0);
CREATE TABLE settled (
  decision TEXT PRIMARY KEY,
  at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO settled VALUES ('decision-1', 2000);
CREATE INDEX settled_at ON settled (at_ms);
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
UPDATE tasks SET details = '[{"type":"urn:remit:task","actions":["payments.read","payments.create"]},{"type":"urn:remit:task","actions":["payments.read"]}]' WHERE state = 'suspended';
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
INSERT INTO stops SELECT issuer, agent, '', 'payments.read', id, 'operator.suspended', 3, NULL FROM tasks WHERE state = 'suspended';
CREATE TABLE orders (
  id TEXT PRIMARY KEY,
  of TEXT NOT NULL CHECK (of IN ('stop', 'observe')),
  until_ms INTEGER,
  body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX orders_until ON orders (until_ms) WHERE until_ms IS NOT NULL;
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
INSERT INTO limit_counts VALUES ('a', 'calls', '[]', 0, 60000, 1, 1);
PRAGMA application_id = 1382378868;
PRAGMA user_version = 14;
COMMIT;
