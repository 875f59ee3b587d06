import { SCHEMA_NAME } from './schema.ts';

/** The instant of a statement by the clock of the database, which no login can set. */
const NOW_MS = `(extract(epoch FROM clock_timestamp()) * 1000)::bigint`;

/** How long after its end the id of an order is kept, since the clocks of authorities may be behind; and most ids that are forgotten at once. */
const KEPT_MS = 86_400_000;
const MAX_DELETED = 500;

/**
 * Version 13: what waits to be sent to receivers of signals (`core/state/signal-queue.ts`), and how a stop is lifted.
 *
 * - A receiver has the authority that delivers to it now, until when by the clock of the database, and how many of its signals were deleted
 *   undelivered since its last claim.
 * - A signal has a seal (`row-seal.ts`): otherwise the authorities would sign what any login wrote. The lowest rank is sent first
 *   (`signalRanks`).
 * - A stop stays as it was made until its time is over, or it is lifted by a seal in its row, so the login alone lifts none. The row has the digest
 *   of that seal from the beginning, so the database knows it, and a stop that was lifted can be deleted. Without that digest, as of a stop from
 *   before this version or of another key, only an authority knows whether it was lifted; `remit migrate` deletes such stops.
 * - The id of an order is used once, so that the row of a stop that was lifted, or of an emergency that was ended, is not put back with its seal. It is
 *   kept where the login may not write: until a day after the end of the order, and for good if it has none. INVARIANT: a unique index decides, and no
 *   look: a transaction at REPEATABLE READ would not see an order that ended since it began.
 * - The number of changes of orders rises by one, so that no authority takes older orders for the current ones, and it never runs over.
 */
export const SIGNALS_SCHEMA = `
CREATE TABLE signal_receivers (
  name text PRIMARY KEY,
  owner uuid NOT NULL,
  claimed_until timestamptz NOT NULL,
  dropped bigint NOT NULL DEFAULT 0 CHECK (dropped >= 0)
) WITH (fillfactor = 50);
CREATE TABLE signals (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  receiver text NOT NULL,
  at_ms bigint NOT NULL,
  rank smallint NOT NULL,
  bytes bytea NOT NULL,
  seal text
);
CREATE INDEX signals_receiver ON signals (receiver, rank, seq);

ALTER TABLE orders ADD COLUMN lifted text, ADD COLUMN lift_digest text;
CREATE OR REPLACE FUNCTION replica_knows_orders() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = ${SCHEMA_NAME}, pg_temp AS
  $$ BEGIN
    IF EXISTS (SELECT 1 FROM orders WHERE of = 'stop' AND lifted IS NULL) THEN
      RAISE EXCEPTION 'a stop is in force, which an authority of an earlier release cannot pass on: upgrade it';
    END IF;
    RETURN NEW;
  END $$;
CREATE TRIGGER orders_stay_as_made BEFORE UPDATE ON orders FOR EACH ROW
  WHEN ((NEW.id, NEW.of, NEW.body) IS DISTINCT FROM (OLD.id, OLD.of, OLD.body) OR NEW.until_ms IS DISTINCT FROM OLD.until_ms
    OR NEW.seal IS DISTINCT FROM OLD.seal OR NEW.lift_digest IS DISTINCT FROM OLD.lift_digest)
  EXECUTE FUNCTION refuse('an order does not change');
CREATE FUNCTION stop_is_over() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = ${SCHEMA_NAME}, pg_temp AS
  $$ BEGIN
    IF OLD.lift_digest = encode(sha256(convert_to(OLD.lifted, 'UTF8')), 'hex') THEN RETURN OLD; END IF;
    IF OLD.until_ms IS NULL OR OLD.until_ms > ${NOW_MS} THEN RAISE EXCEPTION 'a stop is not deleted before its time is over'; END IF;
    RETURN OLD;
  END $$;
CREATE TRIGGER stops_stay BEFORE DELETE ON orders FOR EACH ROW WHEN (OLD.of = 'stop') EXECUTE FUNCTION stop_is_over();
CREATE TABLE order_ids (
  id text CONSTRAINT an_order_id_is_used_once PRIMARY KEY,
  until_ms bigint
);
CREATE INDEX order_ids_until ON order_ids (until_ms);
INSERT INTO order_ids SELECT id, until_ms FROM orders;
CREATE FUNCTION order_ids_are_used() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = ${SCHEMA_NAME}, pg_temp AS
  $$ BEGIN
    INSERT INTO order_ids SELECT id, until_ms FROM added;
    DELETE FROM order_ids WHERE id IN (
      SELECT id FROM order_ids WHERE until_ms <= ${NOW_MS} - ${KEPT_MS} LIMIT ${MAX_DELETED} FOR UPDATE SKIP LOCKED);
    RETURN NULL;
  END $$;
CREATE TRIGGER orders_use_their_ids AFTER INSERT ON orders REFERENCING NEW TABLE AS added FOR EACH STATEMENT
  EXECUTE FUNCTION order_ids_are_used();
CREATE TRIGGER orders_are_counted BEFORE UPDATE ON orders_head FOR EACH ROW WHEN (NEW.version <> OLD.version + 1)
  EXECUTE FUNCTION refuse('the number of changes of orders rises by one');
`;
