import { counterAt } from '../../../../core/limit/limit-spend.ts';
import type { LimitCounter, LimitSpend, OpenTasksLimit } from '../../../../core/limit/limit-spend.ts';
import type { Statement } from '../flight.ts';
import { counterKey } from './limit-rows.ts';
import type { LimitRow, LimitRows } from './limit-rows.ts';
import type { RowSeal } from './row-seal.ts';

/** A counter that is read, with the value that may be in it. */
export interface NeededCounter {
  readonly counter: LimitCounter;
  readonly digest: string | null;
}

/** The counters of spends at an instant. */
export const neededCounters = (spends: readonly LimitSpend[], nowMs: number): readonly NeededCounter[] =>
  spends.map((spend) => ({ counter: counterAt(spend, nowMs), digest: spend.value ?? null }));

/** First of the two numbers of the advisory locks: `Reml`. There are 1,024 of them, since a server has room for some thousands. */
const LOCK_CLASS = 0x52656d6c;
const LOCKS = 1_023;

const LOCK = `SELECT pg_advisory_xact_lock(${LOCK_CLASS}, l.n)
  FROM (SELECT DISTINCT hashtext(k) & ${LOCKS} AS n FROM unnest($1::text[]) AS c (k) ORDER BY 1) l`;

const COUNTS = 'SELECT * FROM remit.limit_counts WHERE counter = ANY($1::text[])';
const VALUES = `SELECT v.counter, v.digest FROM unnest($1::text[], $2::text[]) AS k (counter, digest)
  JOIN remit.limit_values v ON v.counter = k.counter AND v.digest = k.digest`;
/** Only those that concern a limit, by the indexes of open tasks. */
const OPEN = `SELECT agent, subject, count(*) AS count FROM remit.tasks
  WHERE ended_ms IS NULL AND ($1::boolean OR agent = ANY($2::text[]) OR subject = ANY($3::text[])) GROUP BY agent, subject`;
const RESTORED = 'SELECT restored_ms FROM remit.feed_head WHERE part = 0';

/** The reads of a transaction; empty if it needs nothing of limits. */
export interface LimitReads {
  readonly statements: readonly Statement[];
  /** Keeps what they found. @param found rows of a statement by its text */
  readonly load: (rows: LimitRows, found: FoundRows, rowIn: (row: Row) => LimitRow) => void;
}

type Row = Readonly<Record<string, unknown>>;
/** The rows of a statement, by its text; none if it was not sent. */
export type FoundRows = (text: string) => readonly Row[];

const NOTHING: LimitReads = { statements: [], load: () => undefined };

/**
 * Reads counters and open tasks under their locks. INVARIANT: before the families of tasks are locked and after the orders, in the order of the
 * locks, so that two transactions never wait for each other; what is read after it is of the last commit.
 */
export function limitReads(counters: readonly NeededCounter[], open: readonly OpenTasksLimit[]): LimitReads {
  if (counters.length === 0 && open.length === 0) return NOTHING;
  const keys = new Map(counters.map(({ counter }) => [counterKey(counter), counter]));
  const values = counters.flatMap(({ counter, digest }) => (digest === null ? [] : [[counterKey(counter), digest]]));
  // Declarations that are counted together wait for each other.
  const declaring = open.map(({ limit, who }) => JSON.stringify(['open', limit, who]));
  const ofAgents = open.flatMap(({ agent }) => agent ?? []);
  const ofSubjects = open.flatMap(({ agent, subject }) => (agent === null ? (subject ?? []) : []));
  const isOfAll = open.some(({ agent, subject }) => agent === null && subject === null);
  const locked = { text: LOCK, values: [[...keys.keys(), ...declaring]] };
  const reads: readonly (Statement | null)[] = [
    { text: COUNTS, values: [[...keys.keys()]] },
    values.length === 0
      ? null
      : { text: VALUES, values: [values.map(([key]) => key), values.map(([, value]) => value)] },
    open.length === 0 ? null : { text: OPEN, values: [isOfAll, ofAgents, ofSubjects] },
    { text: RESTORED },
  ];
  return {
    statements: [locked, ...reads.filter((read) => read !== null)],
    load: (rows, found, rowIn) => {
      for (const row of found(COUNTS)) rows.load(rowIn(row));
      for (const row of found(VALUES)) {
        const [key, digest] = [String(row['counter']), String(row['digest'])];
        const counter = keys.get(key);
        if (counter !== undefined) rows.loadValue(key, { counter, digest });
      }
      for (const row of found(OPEN)) {
        rows.loadOpen({ agent: String(row['agent']), subject: String(row['subject']), count: Number(row['count']) });
      }
      const restored = found(RESTORED)[0]?.['restored_ms'];
      rows.restoredAtMs = restored === null || restored === undefined ? null : Number(restored);
    },
  };
}

const SET_COUNTS = `INSERT INTO remit.limit_counts SELECT * FROM json_populate_recordset(NULL::remit.limit_counts, $1::json)
  ON CONFLICT (counter) DO UPDATE SET used = excluded.used, max = excluded.max, given = excluded.given, given_seal = excluded.given_seal`;
const ADD_VALUES =
  'INSERT INTO remit.limit_values SELECT * FROM json_populate_recordset(NULL::remit.limit_values, $1::json)';

/** The statements that write changes of limits. */
export function limitStatements(
  { counts, values }: ReturnType<LimitRows['changed']>,
  seal: RowSeal | null,
): readonly Statement[] {
  const rows = counts.map((row) => ({
    counter: counterKey(row.counter),
    limit_id: row.counter.limit,
    measure: row.counter.measure,
    who: row.counter.who,
    starts_ms: row.counter.startsMs,
    ends_ms: row.counter.endsMs,
    used: row.taken,
    max: row.max,
    given: row.given,
    given_seal: row.given === 0 ? null : (seal?.ofLimitGiven(row) ?? null),
  }));
  const added = values.map(({ counter, digest }) => ({
    counter: counterKey(counter),
    digest,
    ends_ms: counter.endsMs,
  }));
  return [
    ...(rows.length === 0 ? [] : [{ text: SET_COUNTS, values: [JSON.stringify(rows)] }]),
    ...(added.length === 0 ? [] : [{ text: ADD_VALUES, values: [JSON.stringify(added)] }]),
  ];
}
