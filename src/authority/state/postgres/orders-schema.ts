import { SCHEMA_NAME } from './schema.ts';

/**
 * Version 11: the orders of operators (`core/order/order.ts`), as JSON, and the number of their changes.
 *
 * While a stop is in force, an authority of an earlier release makes no beat, so that it renews no lease: it would not pass the stop on to its
 * sidecars.
 */
export const ORDERS_SCHEMA = `
CREATE TABLE orders (
  id text PRIMARY KEY,
  of text NOT NULL CHECK (of IN ('stop', 'observe')),
  until_ms bigint,
  body text NOT NULL,
  seal text
);
CREATE TABLE orders_head (
  part smallint PRIMARY KEY CHECK (part = 0),
  version bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO orders_head VALUES (0, 0);
ALTER TABLE replicas ADD COLUMN knows_orders boolean NOT NULL DEFAULT false;
CREATE FUNCTION replica_knows_orders() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = ${SCHEMA_NAME}, pg_temp AS
  $$ BEGIN
    IF EXISTS (SELECT 1 FROM orders WHERE of = 'stop') THEN
      RAISE EXCEPTION 'a stop is in force, which an authority of an earlier release cannot pass on: upgrade it';
    END IF;
    RETURN NEW;
  END $$;
CREATE TRIGGER replicas_know_orders BEFORE INSERT OR UPDATE ON replicas FOR EACH ROW WHEN (NOT NEW.knows_orders)
  EXECUTE FUNCTION replica_knows_orders();
`;
