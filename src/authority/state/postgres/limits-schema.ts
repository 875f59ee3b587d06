import { SCHEMA_NAME } from './schema.ts';

/** The instant of a statement by the clock of the database, which no login can set. */
const NOW_MS = `(extract(epoch FROM clock_timestamp()) * 1000)::bigint`;
const TRIGGER = `RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = ${SCHEMA_NAME}, pg_temp AS`;

/**
 * Version 12: the counters of limits over all tasks (`core/limit`), by the digest of what they count in which window, and the
 * values that counters of distinct values have seen.
 *
 * What was used does not become less, and stays until its window is over by the clock of the database. What was given back is
 * counted separately and needs a seal (`row-seal.ts`). So the login alone refills nothing.
 */
export const LIMITS_SCHEMA = `
CREATE TABLE limit_counts (
  counter text PRIMARY KEY,
  limit_id text NOT NULL,
  measure text NOT NULL,
  who text NOT NULL,
  starts_ms bigint NOT NULL,
  ends_ms bigint NOT NULL,
  used bigint NOT NULL CHECK (used >= 0),
  max bigint NOT NULL CHECK (max >= 0),
  given bigint NOT NULL DEFAULT 0 CHECK (given BETWEEN 0 AND used),
  given_seal text
) WITH (fillfactor = 50);
CREATE INDEX limit_counts_ended ON limit_counts (ends_ms);
CREATE TABLE limit_values (
  counter text NOT NULL,
  digest text NOT NULL,
  ends_ms bigint NOT NULL,
  PRIMARY KEY (counter, digest)
);
CREATE INDEX limit_values_ended ON limit_values (ends_ms);
CREATE TRIGGER limits_are_used BEFORE UPDATE ON limit_counts FOR EACH ROW
  WHEN (NEW.used < OLD.used OR (NEW.counter, NEW.limit_id, NEW.measure, NEW.who, NEW.starts_ms, NEW.ends_ms)
    IS DISTINCT FROM (OLD.counter, OLD.limit_id, OLD.measure, OLD.who, OLD.starts_ms, OLD.ends_ms))
  EXECUTE FUNCTION refuse('what was used of a limit stays used');
CREATE TRIGGER limit_values_stay_as_they_are BEFORE UPDATE ON limit_values FOR EACH ROW
  EXECUTE FUNCTION refuse('a value of a limit does not change');
CREATE FUNCTION limit_is_over() ${TRIGGER}
  $$ BEGIN
    IF OLD.ends_ms > ${NOW_MS} THEN RAISE EXCEPTION 'what was used of a limit is kept until its window is over'; END IF;
    RETURN OLD;
  END $$;
CREATE TRIGGER limit_counts_stay BEFORE DELETE ON limit_counts FOR EACH ROW EXECUTE FUNCTION limit_is_over();
CREATE TRIGGER limit_values_stay BEFORE DELETE ON limit_values FOR EACH ROW EXECUTE FUNCTION limit_is_over();
`;
