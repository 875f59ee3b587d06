/** The tables of a database of authorities. */
import { MAX_LEASE_SECONDS } from '../../../core/config/authority.ts';
import { PARTS_OF_SETTLED } from './rows/settled-parts.ts';

/** The version of the tables. */
export const SCHEMA_VERSION = 14;

/** The schema that the tables are in, beside anything else in the database. */
export const SCHEMA_NAME = 'remit';

const settledParts = Array.from(
  { length: PARTS_OF_SETTLED },
  (_, part) => `CREATE TABLE settled_${part} PARTITION OF settled FOR VALUES IN (${part});`,
).join('\n');

/**
 * The tables of version 1: those of a state file, and what several writers need. Text is stored as it is; JSON is text, since it is only
 * read whole.
 *
 * - `tasks.root` is the root task of the family. Its row is locked by each write that concerns the family.
 * - `feed_head` and `outbox_head` give numbers in commit order without a gap: their rows are locked by the last statements of a transaction.
 *   The mark of a change distinguishes it from a change to which a database that lost it gave the same number.
 * - `settled` holds decisions, and the id of each transaction, by which an unknown result is looked up. It is a ring of partitions of ten
 *   minutes each, emptied by TRUNCATE.
 * - `replicas` and `receipts` record what each authority has pushed to its sidecars.
 *
 * Triggers enforce what no code may break: an ended task does not change, and neither an open task nor one of its tokens is deleted.
 */
export const SCHEMA = `
CREATE TABLE tasks (
  issuer text NOT NULL,
  id text NOT NULL,
  agent text NOT NULL,
  subject text NOT NULL,
  parent text,
  purpose text NOT NULL,
  intent_hash text NOT NULL,
  state text NOT NULL CHECK (state IN ('active', 'suspended', 'completed', 'cancelled', 'revoked', 'expired')),
  created_ms bigint NOT NULL,
  deadline_ms bigint NOT NULL,
  idle_ms bigint CHECK (idle_ms > 0),
  last_used_ms bigint NOT NULL,
  ended_ms bigint,
  cause text,
  cause_note text,
  trace_id text NOT NULL,
  span_id text NOT NULL,
  details text NOT NULL,
  claimed text NOT NULL,
  attested text NOT NULL,
  context_rules text NOT NULL,
  risk text NOT NULL CHECK (risk IN ('low', 'medium', 'high')),
  generation bigint NOT NULL CHECK (generation > 0),
  root text NOT NULL,
  PRIMARY KEY (issuer, id),
  FOREIGN KEY (issuer, parent) REFERENCES tasks (issuer, id),
  CHECK ((ended_ms IS NULL) = (state IN ('active', 'suspended'))),
  CHECK ((cause IS NULL) = (state = 'active') AND (cause IS NULL) = (cause_note IS NULL)),
  CHECK ((parent IS NULL) = (root = id))
) WITH (fillfactor = 80);
CREATE INDEX tasks_due ON tasks (deadline_ms) WHERE ended_ms IS NULL;
CREATE INDEX tasks_idle_due ON tasks ((last_used_ms + idle_ms)) WHERE ended_ms IS NULL AND idle_ms IS NOT NULL;
CREATE INDEX tasks_idle ON tasks (id) WHERE ended_ms IS NULL AND idle_ms IS NOT NULL;
CREATE INDEX tasks_open ON tasks (issuer, root) WHERE ended_ms IS NULL;
CREATE INDEX tasks_root ON tasks (issuer, root) WHERE parent IS NOT NULL;
CREATE INDEX tasks_part ON tasks (issuer, parent) WHERE parent IS NOT NULL;
CREATE INDEX tasks_ended ON tasks (ended_ms, issuer, id) WHERE ended_ms IS NOT NULL AND parent IS NULL;
CREATE INDEX tasks_agent ON tasks (agent) WHERE ended_ms IS NULL;
CREATE INDEX tasks_subject ON tasks (subject) WHERE ended_ms IS NULL;
CREATE INDEX tasks_created ON tasks (created_ms);
CREATE INDEX tasks_id ON tasks (id);
CREATE TABLE tokens (
  jti_digest text PRIMARY KEY,
  issuer text NOT NULL,
  task text NOT NULL,
  audience text NOT NULL,
  issued_ms bigint NOT NULL,
  expires_ms bigint NOT NULL,
  generation bigint NOT NULL,
  revoked_ms bigint,
  bound_to text NOT NULL,
  FOREIGN KEY (issuer, task) REFERENCES tasks (issuer, id)
);
CREATE INDEX tokens_task ON tokens (issuer, task);
CREATE TABLE budgets (
  issuer text NOT NULL,
  task text NOT NULL,
  name text NOT NULL,
  spent bigint NOT NULL CHECK (spent >= 0),
  PRIMARY KEY (issuer, task, name),
  FOREIGN KEY (issuer, task) REFERENCES tasks (issuer, id)
) WITH (fillfactor = 50);
CREATE TABLE histories (
  issuer text NOT NULL,
  task text NOT NULL,
  version bigint NOT NULL CHECK (version > 0),
  actions text NOT NULL,
  labels text NOT NULL,
  PRIMARY KEY (issuer, task),
  FOREIGN KEY (issuer, task) REFERENCES tasks (issuer, id)
) WITH (fillfactor = 50);
CREATE TABLE static_secrets (
  digest text NOT NULL,
  agent text NOT NULL,
  action text NOT NULL,
  kind text NOT NULL,
  place text NOT NULL,
  first_seen_ms bigint NOT NULL,
  last_seen_ms bigint NOT NULL,
  count bigint NOT NULL CHECK (count > 0),
  PRIMARY KEY (digest, agent, action)
);
CREATE INDEX static_secrets_last_seen ON static_secrets (last_seen_ms);
CREATE TABLE digest_key (
  id smallint PRIMARY KEY CHECK (id = 1),
  key bytea NOT NULL CHECK (length(key) = 32)
);
CREATE TABLE remembered (
  kind text NOT NULL,
  key text NOT NULL,
  until_ms bigint NOT NULL,
  PRIMARY KEY (kind, key)
);
CREATE INDEX remembered_until ON remembered (until_ms);
CREATE TABLE outbox (
  seq bigint PRIMARY KEY,
  task text,
  at_ms bigint NOT NULL,
  kind text NOT NULL,
  bytes bytea NOT NULL
);
CREATE INDEX outbox_task ON outbox (task, seq) WHERE task IS NOT NULL;
CREATE TABLE outbox_head (
  part smallint PRIMARY KEY,
  seq bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO outbox_head VALUES (0, 0);
CREATE TABLE feed_head (
  part smallint PRIMARY KEY,
  epoch uuid NOT NULL,
  seq bigint NOT NULL,
  floor_ms bigint NOT NULL,
  restored_ms bigint
) WITH (fillfactor = 10);
INSERT INTO feed_head VALUES (0, gen_random_uuid(), 0, 0, NULL);
CREATE TABLE feed (
  part smallint NOT NULL,
  seq bigint NOT NULL,
  root text NOT NULL,
  is_history boolean NOT NULL,
  mark uuid NOT NULL DEFAULT gen_random_uuid(),
  PRIMARY KEY (part, seq)
);
CREATE TABLE settled (
  part smallint NOT NULL,
  slot bigint NOT NULL,
  id text NOT NULL,
  is_void boolean NOT NULL DEFAULT false,
  PRIMARY KEY (part, id)
) PARTITION BY LIST (part);
${settledParts}
CREATE TABLE replicas (
  id uuid PRIMARY KEY,
  address text NOT NULL,
  beat bigint NOT NULL,
  enforced_seq bigint NOT NULL,
  details text NOT NULL
) WITH (fillfactor = 10);
CREATE TABLE receipts (
  seq bigint NOT NULL,
  replica uuid NOT NULL,
  holders integer NOT NULL,
  acknowledged integer NOT NULL,
  fenced integer NOT NULL,
  PRIMARY KEY (seq, replica)
);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION '%', TG_ARGV[0]; END $$;
CREATE FUNCTION token_stays() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN
    IF EXISTS (SELECT 1 FROM ${SCHEMA_NAME}.tasks WHERE issuer = OLD.issuer AND id = OLD.task AND ended_ms IS NULL) THEN
      RAISE EXCEPTION 'a token of an open task is not deleted';
    END IF;
    RETURN OLD;
  END $$;
CREATE TRIGGER tasks_end_for_good BEFORE UPDATE ON tasks FOR EACH ROW
  WHEN (OLD.ended_ms IS NOT NULL OR NEW.generation < OLD.generation OR NEW.root <> OLD.root)
  EXECUTE FUNCTION refuse('an ended task does not change');
CREATE TRIGGER tasks_open_stay BEFORE DELETE ON tasks FOR EACH ROW WHEN (OLD.ended_ms IS NULL)
  EXECUTE FUNCTION refuse('an open task is not deleted');
CREATE TRIGGER tokens_of_open_tasks_stay BEFORE DELETE ON tokens FOR EACH ROW EXECUTE FUNCTION token_stays();
`;

/** Version 2: which fleet the database belongs to. Its first authority inserts the row. */
export const FLEET_SCHEMA = `
CREATE TABLE fleet (
  id smallint PRIMARY KEY CHECK (id = 1),
  issuer text NOT NULL,
  trust_domains text[] NOT NULL
);
`;

/**
 * Version 3: how a database that has lost commits is detected, and what is done about it.
 *
 * - `feed_head.lost` is set if commits were lost. No authority serves until `remit restore` has ended what may have ended since.
 * - `digest_key.position_key` authenticates the positions that sidecars give back.
 * - `replicas.lease_ms` is the lease that an authority gives. Rows of the previous version count as the longest lease.
 */
export const LOST_SCHEMA = `
ALTER TABLE feed_head ADD COLUMN lost text;
ALTER TABLE digest_key ADD COLUMN position_key bytea NOT NULL
  DEFAULT decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex') CHECK (length(position_key) = 32);
ALTER TABLE replicas ADD COLUMN lease_ms bigint NOT NULL DEFAULT ${MAX_LEASE_SECONDS * 1_000};
`;

/**
 * Version 4: the records of sidecars.
 *
 * - `emitters` records how far each log is kept. Each authority that takes a log over raises its term, and only that authority may move the
 *   head.
 * - `receivers` has a row for each authority that receives logs; its beat rises while the authority lives.
 * - `received` has what is kept, an object for each batch; `received_days` the sum of their bytes, by the days they were kept on.
 */
export const RECORDS_SCHEMA = `
CREATE TABLE emitters (
  origin text PRIMARY KEY,
  verifier_key text NOT NULL,
  id text NOT NULL,
  term bigint NOT NULL CHECK (term > 0),
  owner uuid NOT NULL,
  size bigint NOT NULL,
  range bytea NOT NULL,
  head bytea NOT NULL,
  signed bigint NOT NULL,
  state text NOT NULL CHECK (state IN ('open', 'left', 'lost')),
  at_ms bigint NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX emitters_open ON emitters (owner) WHERE state = 'open';
CREATE INDEX emitters_ended ON emitters (at_ms) WHERE state <> 'open';
CREATE TABLE receivers (
  id uuid PRIMARY KEY,
  beat bigint NOT NULL
) WITH (fillfactor = 10);
CREATE TABLE received (
  name text PRIMARY KEY,
  day integer NOT NULL,
  bytes integer NOT NULL,
  body bytea NOT NULL
);
ALTER TABLE received ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE TABLE received_days (
  day integer PRIMARY KEY,
  bytes bigint NOT NULL
) WITH (fillfactor = 10);
CREATE TRIGGER emitters_grow BEFORE UPDATE ON emitters FOR EACH ROW
  WHEN (NEW.term < OLD.term OR NEW.size < OLD.size OR NEW.id <> OLD.id OR NEW.verifier_key <> OLD.verifier_key)
  EXECUTE FUNCTION refuse('a log does not shrink');
CREATE TRIGGER received_stays BEFORE UPDATE ON received FOR EACH ROW EXECUTE FUNCTION refuse('a received record does not change');
`;

/** What each process reported of the uses of a token (`token-uses.ts`). Since version 5. */
export const TOKEN_USES = `
CREATE TABLE token_uses (
  jti_digest text NOT NULL REFERENCES tokens ON DELETE CASCADE,
  reporter text NOT NULL,
  first_ms bigint NOT NULL,
  last_ms bigint NOT NULL,
  uses bigint NOT NULL CHECK (uses > 0),
  trace_id text,
  span_id text,
  allowed text,
  PRIMARY KEY (jti_digest, reporter)
) WITH (fillfactor = 50);
`;

/** Version 6: how far the ledger of each authority has taken the outbox, and when it last reported that. */
export const RELAYS = `
CREATE TABLE relays (
  ledger text PRIMARY KEY,
  seq bigint NOT NULL,
  seen timestamptz NOT NULL
) WITH (fillfactor = 50);
`;

/** Version 8: what stopped the tasks of agents (`core/task/stop.ts`), and the stops of tasks that were suspended before. */
export const STOPS = `
CREATE TABLE stops (
  issuer text NOT NULL,
  agent text NOT NULL,
  subject text NOT NULL,
  action text NOT NULL,
  task text NOT NULL,
  cause text NOT NULL,
  since_ms bigint NOT NULL,
  ended_ms bigint,
  PRIMARY KEY (issuer, agent, subject, action, task),
  CHECK ((ended_ms IS NULL) = (task <> ''))
) WITH (fillfactor = 80);
CREATE INDEX stops_task ON stops (task, issuer) WHERE task <> '';
CREATE INDEX stops_ended ON stops (ended_ms) WHERE ended_ms IS NOT NULL;
INSERT INTO stops SELECT t.issuer, t.agent, '', a.action, t.id, t.cause, t.created_ms, NULL
  FROM tasks t, json_array_elements(t.details::json) d, json_array_elements_text(d->'actions') a (action)
  WHERE t.state = 'suspended' AND (t.cause LIKE 'operator.%' OR t.cause LIKE 'signal.%' OR t.cause IN ('context.changed', 'binding.violation'))
  ON CONFLICT DO NOTHING;
`;

/**
 * Version 10: what was given back of a budget, of calls that Envoy did not send. What was spent still does not become less. With the login
 * alone nothing can be given back, since that needs a seal (`row-seal.ts`).
 */
export const GIVEN = `
ALTER TABLE budgets ADD COLUMN given bigint NOT NULL DEFAULT 0, ADD COLUMN given_seal text;
ALTER TABLE budgets ADD CONSTRAINT budgets_given CHECK (given BETWEEN 0 AND spent);
`;
