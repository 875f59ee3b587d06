import type { CauseCode } from '../../../../core/task/cause.ts';
import type { StopQuery, StopRow } from '../../../../core/task/stop.ts';
import type { TaskKey } from '../../../../core/state/store.ts';
import { numberOrNull } from '../../../../core/state/writes/task-row.ts';
import type { Statement } from '../flight.ts';

type Row = Readonly<Record<string, unknown>>;

/** A change of stops. They are written in order. */
export type StopChange =
  | { readonly kind: 'add'; readonly stops: readonly StopRow[] }
  | { readonly kind: 'end'; readonly key: TaskKey; readonly endedAtMs: number }
  | { readonly kind: 'remove'; readonly key: TaskKey }
  | { readonly kind: 'lift'; readonly query: Omit<StopQuery, 'subject'> };

/**
 * For each action the stop of a suspended task, else that of ended tasks, whose column `task` is empty: a single seek in the primary key
 * each.
 */
const SELECT = `SELECT s.* FROM json_populate_recordset(NULL::remit.stops, $1::json) q, LATERAL (
    SELECT * FROM remit.stops o WHERE o.issuer = q.issuer AND o.agent = q.agent AND o.subject = q.subject AND o.action = q.action
    ORDER BY o.task DESC LIMIT 1) s`;

/** Reads the stops that concern declarations. */
export const selectStops = (queries: readonly StopQuery[]): Statement => {
  const keys = queries.flatMap(({ issuer, agent, subject, actions }) =>
    ['', subject].flatMap((of) => actions.map((action) => ({ issuer, agent, subject: of, action }))),
  );
  return { text: SELECT, values: [JSON.stringify(keys)] };
};

/** The stop in a row of `stops`. */
export const stopFrom = (row: Row): StopRow => ({
  issuer: String(row['issuer']),
  agent: String(row['agent']),
  subject: String(row['subject']),
  action: String(row['action']),
  task: String(row['task']),
  // `stopStatements` wrote a code.
  cause: String(row['cause']) as CauseCode,
  sinceMs: Number(row['since_ms']),
  endedAtMs: numberOrNull(row['ended_ms']),
});

/** First of the two numbers of the advisory locks: `Remt`. */
const LOCK_CLASS = 0x52656d74;

const LOCK = `SELECT CASE WHEN l.is_stop THEN pg_advisory_xact_lock(${LOCK_CLASS}, l.agent) ELSE pg_advisory_xact_lock_shared(${LOCK_CLASS}, l.agent) END
  FROM (SELECT hashtext(a.agent) AS agent, bool_or(a.is_stop) AS is_stop FROM (
      SELECT f.agent, true AS is_stop FROM unnest($1::text[], $2::text[]) AS k (issuer, id)
        JOIN remit.tasks t ON t.issuer = k.issuer AND t.id = k.id
        JOIN remit.tasks f ON f.issuer = t.issuer AND f.root = t.root AND (f.ended_ms IS NULL OR f.id = t.id)
      UNION ALL SELECT d.agent, false FROM unnest($3::text[]) AS d (agent)) a
    GROUP BY 1 ORDER BY 1) l`;

/**
 * Locks agents until the commit: exclusively if tasks of them may be stopped, shared if they declare. INVARIANT: the first lock of a
 * transaction, in the order of its keys, so that two transactions never wait for each other; and a declaration that reads the stops after it
 * finds each stop that was acknowledged before.
 */
export const lockAgents = (stopping: readonly TaskKey[], declaring: readonly StopQuery[]): Statement => ({
  text: LOCK,
  values: [
    stopping.map(({ issuer }) => issuer),
    stopping.map(({ id }) => id),
    [...new Set(declaring.map(({ agent }) => agent))],
  ],
});

const REPLACED = `ON CONFLICT (issuer, agent, subject, action, task)
  DO UPDATE SET cause = excluded.cause, since_ms = excluded.since_ms, ended_ms = excluded.ended_ms
  WHERE s.ended_ms IS NULL OR excluded.ended_ms >= s.ended_ms`;

const ADD = `INSERT INTO remit.stops AS s SELECT * FROM json_populate_recordset(NULL::remit.stops, $1::json) ${REPLACED}`;

const END = `WITH gone AS (DELETE FROM remit.stops WHERE issuer = $1 AND task = $2 AND task <> '' RETURNING *)
  INSERT INTO remit.stops AS s SELECT issuer, agent, subject, action, '', cause, since_ms, $3::bigint FROM gone ${REPLACED}`;

const REMOVE = "DELETE FROM remit.stops WHERE issuer = $1 AND task = $2 AND task <> ''";

const LIFT = "DELETE FROM remit.stops WHERE issuer = $1 AND agent = $2 AND task = '' AND action = ANY($3::text[])";

function statementOf(change: Exclude<StopChange, { readonly kind: 'add' }>): Statement {
  switch (change.kind) {
    case 'end':
      return { text: END, values: [change.key.issuer, change.key.id, change.endedAtMs] };
    case 'remove':
      return { text: REMOVE, values: [change.key.issuer, change.key.id] };
    case 'lift':
      return { text: LIFT, values: [change.query.issuer, change.query.agent, change.query.actions] };
    default:
      return change satisfies never;
  }
}

/** The statements that write changes of stops, in their order. */
export function stopStatements(changes: readonly StopChange[]): readonly Statement[] {
  const statements: Statement[] = [];
  let added = new Map<string, StopRow>();
  const flush = (): void => {
    if (added.size > 0) statements.push({ text: ADD, values: [JSON.stringify([...added.values()].map(columnsOf))] });
    added = new Map();
  };
  for (const change of changes) {
    if (change.kind === 'add') {
      // A statement cannot change a row twice; the later of two stops lasts longer.
      for (const stop of change.stops) added.set(keyOf(stop), stop);
      continue;
    }
    flush();
    statements.push(statementOf(change));
  }
  flush();
  return statements;
}

const keyOf = ({ issuer, agent, subject, action, task }: StopRow): string =>
  JSON.stringify([issuer, agent, subject, action, task]);

const columnsOf = ({ sinceMs, endedAtMs, ...key }: StopRow): object => ({
  ...key,
  since_ms: sinceMs,
  ended_ms: endedAtMs,
});
