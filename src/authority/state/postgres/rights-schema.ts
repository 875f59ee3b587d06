import { MAX_FLOOR_MS } from '../../../core/state/clock-floor.ts';
import { SCHEMA_NAME } from './schema.ts';

/** The instant of a statement by the clock of the database, which no login can set. */
const NOW_MS = `(extract(epoch FROM clock_timestamp()) * 1000)::bigint`;

/** Runs with the rights of the role that owns the tables. The search path keeps it from finding tables of others first. */
const TRIGGER = `RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = ${SCHEMA_NAME}, pg_temp AS`;

/**
 * Version 9: what the login of the authorities may not do, so that the login alone gives no right to anybody.
 *
 * - A row of a task only moves forward: what it was accepted with does not change, a resume raises its generation, and if it has a seal
 *   (`row-seal.ts`) its revision rises, so that no earlier row is put back. It is deleted once it is past its deadline, a token once it has
 *   expired: by the clock of the database, so that a row that is written again gives nothing.
 * - What was spent, seen or remembered does not become less.
 * - A signing key has a proof of an authority (`key-proof.ts`), unless it was there before this version, and a revoked key never returns.
 * - `relays.copies` is the number of ledgers that must have a record before it is deleted, as each ledger asks for.
 */
export const RIGHTS_SCHEMA = `
ALTER TABLE relays ADD COLUMN copies smallint NOT NULL DEFAULT 1 CHECK (copies BETWEEN 1 AND 64);
ALTER TABLE tasks ADD COLUMN revision bigint, ADD COLUMN seal text;
ALTER TABLE tokens ADD COLUMN seal text;
ALTER TABLE signing_keys ADD COLUMN proof text CHECK (length(proof) <= 32768);
ALTER TABLE signing_keys ADD COLUMN was_before boolean NOT NULL DEFAULT false;
UPDATE signing_keys SET was_before = true WHERE revoked_at IS NULL;
CREATE TABLE revoked_keys (kid text PRIMARY KEY);
INSERT INTO revoked_keys SELECT kid FROM signing_keys WHERE revoked_at IS NOT NULL;

CREATE TRIGGER tasks_move_forward BEFORE UPDATE ON tasks FOR EACH ROW
  WHEN ((NEW.issuer, NEW.id, NEW.agent, NEW.subject, NEW.purpose, NEW.intent_hash, NEW.created_ms, NEW.deadline_ms, NEW.trace_id, NEW.span_id,
      NEW.details, NEW.context_rules, NEW.root) IS DISTINCT FROM (OLD.issuer, OLD.id, OLD.agent, OLD.subject, OLD.purpose, OLD.intent_hash,
      OLD.created_ms, OLD.deadline_ms, OLD.trace_id, OLD.span_id, OLD.details, OLD.context_rules, OLD.root)
    OR NEW.parent IS DISTINCT FROM OLD.parent OR NEW.idle_ms IS DISTINCT FROM OLD.idle_ms
    OR (OLD.state = 'suspended' AND NEW.state = 'active' AND NEW.generation <= OLD.generation)
    OR (OLD.seal IS NOT NULL AND coalesce(NEW.revision, 0) <= coalesce(OLD.revision, 0)))
  EXECUTE FUNCTION refuse('a task only moves forward');
CREATE FUNCTION task_is_over() ${TRIGGER}
  $$ BEGIN
    IF OLD.deadline_ms > ${NOW_MS} THEN RAISE EXCEPTION 'a task is not deleted before its deadline'; END IF;
    RETURN OLD;
  END $$;
CREATE TRIGGER tasks_stay_to_their_deadline BEFORE DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION task_is_over();

CREATE TRIGGER tokens_stay_as_issued BEFORE UPDATE ON tokens FOR EACH ROW
  WHEN ((NEW.jti_digest, NEW.issuer, NEW.task, NEW.audience, NEW.issued_ms, NEW.expires_ms, NEW.generation, NEW.bound_to)
      IS DISTINCT FROM (OLD.jti_digest, OLD.issuer, OLD.task, OLD.audience, OLD.issued_ms, OLD.expires_ms, OLD.generation, OLD.bound_to)
    OR (OLD.revoked_ms IS NOT NULL AND NEW.revoked_ms IS NULL))
  EXECUTE FUNCTION refuse('a token does not change, and a revoked one stays revoked');
CREATE FUNCTION token_is_over() ${TRIGGER}
  $$ BEGIN
    IF OLD.expires_ms > ${NOW_MS} THEN RAISE EXCEPTION 'a token is not deleted before it expires'; END IF;
    RETURN OLD;
  END $$;
CREATE TRIGGER tokens_stay_until_they_expire BEFORE DELETE ON tokens FOR EACH ROW EXECUTE FUNCTION token_is_over();

CREATE FUNCTION use_stays() ${TRIGGER}
  $$ BEGIN
    IF EXISTS (SELECT 1 FROM tasks WHERE issuer = OLD.issuer AND id = OLD.task AND (ended_ms IS NULL OR deadline_ms > ${NOW_MS})) THEN
      RAISE EXCEPTION 'what was used of a task is kept as long as the task';
    END IF;
    RETURN OLD;
  END $$;
CREATE TRIGGER budgets_are_spent BEFORE UPDATE ON budgets FOR EACH ROW
  WHEN (NEW.spent < OLD.spent OR (NEW.issuer, NEW.task, NEW.name) IS DISTINCT FROM (OLD.issuer, OLD.task, OLD.name))
  EXECUTE FUNCTION refuse('what was spent stays spent');
CREATE TRIGGER budgets_stay BEFORE DELETE ON budgets FOR EACH ROW EXECUTE FUNCTION use_stays();
CREATE TRIGGER histories_grow BEFORE UPDATE ON histories FOR EACH ROW
  WHEN (NEW.version <= OLD.version OR (NEW.issuer, NEW.task) IS DISTINCT FROM (OLD.issuer, OLD.task)
    OR NOT (NEW.labels::jsonb @> OLD.labels::jsonb AND NEW.actions::jsonb @> OLD.actions::jsonb))
  EXECUTE FUNCTION refuse('a history only grows');
CREATE TRIGGER histories_stay BEFORE DELETE ON histories FOR EACH ROW EXECUTE FUNCTION use_stays();

CREATE FUNCTION key_is_remembered() ${TRIGGER}
  $$ BEGIN
    IF TG_OP = 'UPDATE' AND (NEW.kind, NEW.key) = (OLD.kind, OLD.key) AND NEW.until_ms >= OLD.until_ms THEN RETURN NEW; END IF;
    IF OLD.until_ms > ${NOW_MS} THEN RAISE EXCEPTION 'a key is remembered until its time'; END IF;
    RETURN coalesce(NEW, OLD);
  END $$;
CREATE TRIGGER remembered_stays BEFORE UPDATE OR DELETE ON remembered FOR EACH ROW EXECUTE FUNCTION key_is_remembered();

CREATE FUNCTION signing_key_enters() ${TRIGGER}
  $$ BEGIN
    IF EXISTS (SELECT 1 FROM revoked_keys WHERE kid = NEW.kid) THEN RETURN NULL; END IF;
    NEW.was_before := false;
    RETURN NEW;
  END $$;
CREATE TRIGGER signing_keys_enter BEFORE INSERT ON signing_keys FOR EACH ROW EXECUTE FUNCTION signing_key_enters();
CREATE FUNCTION signing_key_is_revoked() ${TRIGGER}
  $$ BEGIN
    INSERT INTO revoked_keys VALUES (NEW.kid) ON CONFLICT DO NOTHING;
    RETURN NEW;
  END $$;
CREATE TRIGGER signing_keys_are_revoked BEFORE UPDATE ON signing_keys FOR EACH ROW WHEN (NEW.revoked_at IS NOT NULL)
  EXECUTE FUNCTION signing_key_is_revoked();
CREATE TRIGGER signing_keys_are_of_their_time BEFORE UPDATE ON signing_keys FOR EACH ROW
  WHEN (NEW.published_at <> OLD.published_at OR NEW.was_before <> OLD.was_before)
  EXECUTE FUNCTION refuse('when a key was published does not change');

DO $$ DECLARE granted record; BEGIN
  FOR granted IN SELECT DISTINCT table_name, grantee FROM information_schema.role_table_grants
    WHERE table_schema = '${SCHEMA_NAME}' AND privilege_type = 'TRUNCATE' AND grantee <> current_user AND table_name !~ '^settled' LOOP
    EXECUTE format('REVOKE TRUNCATE ON ${SCHEMA_NAME}.%I FROM %I', granted.table_name, granted.grantee);
  END LOOP;
END $$;
`;

/**
 * Version 14: what was made before a restore is not put back after it (`restore-database.ts`), with the seal that it had.
 *
 * - The instant of the last restore only rises: by whatever the login writes, to a day ahead of the clock of the database at most, so that the
 *   login cannot keep the fleet from declaring tasks for longer.
 * - A task or an order that was made at or before that instant is not added. Tokens need no such rule: each needs a task that is open.
 *   INVARIANT: at READ COMMITTED alone, in which the look sees the last commit. A restore locks both tables until its commit, so a row is
 *   either there when the restore looks, or added after it. What an earlier snapshot sees can be from before the restore.
 * - The instant of an order is read as an authority reads it: the last member of that name, without its fraction.
 */
export const LIVES_SCHEMA = `
CREATE FUNCTION restore_is_of_its_time() ${TRIGGER}
  $$ BEGIN
    IF NEW.part <> OLD.part OR coalesce(NEW.restored_ms, 0) <= coalesce(OLD.restored_ms, 0) THEN
      RAISE EXCEPTION 'the instant of a restore only rises';
    END IF;
    IF NEW.restored_ms > greatest(${NOW_MS} + ${MAX_FLOOR_MS}, OLD.restored_ms + 1) THEN
      RAISE EXCEPTION 'a restore is not of the future';
    END IF;
    RETURN NEW;
  END $$;
CREATE TRIGGER restores_are_of_their_time BEFORE UPDATE ON feed_head FOR EACH ROW
  WHEN (NEW.part <> OLD.part OR NEW.restored_ms IS DISTINCT FROM OLD.restored_ms)
  EXECUTE FUNCTION restore_is_of_its_time();
CREATE FUNCTION is_of_this_life() ${TRIGGER}
  $$ DECLARE restored bigint; made bigint; BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
      RAISE EXCEPTION 'tasks and orders are added at READ COMMITTED alone';
    END IF;
    SELECT max(restored_ms) INTO restored FROM feed_head;
    IF restored IS NULL THEN RETURN NULL; END IF;
    IF TG_TABLE_NAME = 'tasks' THEN made := NEW.created_ms;
    ELSE made := floor((NEW.body::jsonb ->> 'madeAtMs')::numeric); END IF;
    IF made > restored THEN RETURN NULL; END IF;
    RAISE EXCEPTION 'what was made before the last restore is not added';
  END $$;
CREATE TRIGGER tasks_are_of_this_life AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION is_of_this_life();
CREATE TRIGGER orders_are_of_this_life AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION is_of_this_life();
`;
