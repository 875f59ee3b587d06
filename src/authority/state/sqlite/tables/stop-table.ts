/** The table of stops that concern declarations. */
import type { CauseCode } from '../../../../core/task/cause.ts';
import { longestOf, STOP_MEMORY_MS } from '../../../../core/task/stop.ts';
import type { Stop, StopQuery, StopRow } from '../../../../core/task/stop.ts';
import type { TaskKey } from '../../../../core/state/store.ts';
import { numberOrNull } from '../../../../core/state/writes/task-row.ts';
import type { Connection } from '../connection.ts';

/** A suspended task comes before those that have ended, whose column `task` is empty. A single seek in the primary key. */
const SELECT = `SELECT cause, since_ms, ended_ms FROM stops
  WHERE issuer = ? AND agent = ? AND subject = ? AND action = ? ORDER BY task DESC LIMIT 1`;

/** The stop that lasts longest of those that concern a declaration. */
export function stopAt(connection: Connection, { issuer, agent, subject, actions }: StopQuery): Stop | null {
  const select = connection.statement(SELECT);
  const keys = ['', subject].flatMap((of) => actions.map((action) => [issuer, agent, of, action] as const));
  const rows = keys.map((key) => select.get(...key)).filter((row) => row !== undefined);
  return longestOf(
    rows.map((row) => ({
      // `addStops` wrote a code.
      cause: String(row['cause']) as CauseCode,
      sinceMs: Number(row['since_ms']),
      endedAtMs: numberOrNull(row['ended_ms']),
    })),
  );
}

const REPLACED = `ON CONFLICT (issuer, agent, subject, action, task)
  DO UPDATE SET cause = excluded.cause, since_ms = excluded.since_ms, ended_ms = excluded.ended_ms
  WHERE ended_ms IS NULL OR excluded.ended_ms >= ended_ms`;

/** Within a transaction: `StateRows.addStops`. */
export function addStops(connection: Connection, stops: readonly StopRow[]): void {
  const insert = connection.statement(`INSERT INTO stops VALUES (?, ?, ?, ?, ?, ?, ?, ?) ${REPLACED}`);
  for (const { issuer, agent, subject, action, task, cause, sinceMs, endedAtMs } of stops) {
    insert.run(issuer, agent, subject, action, task, cause, sinceMs, endedAtMs);
  }
}

/** Within a transaction: `StateRows.endStops`. */
export function endStops(connection: Connection, key: TaskKey, endedAtMs: number): void {
  connection
    .statement(
      `INSERT INTO stops SELECT issuer, agent, subject, action, '', cause, since_ms, ?3 FROM stops INDEXED BY stops_task
       WHERE task = ?2 AND task > '' AND issuer = ?1 ${REPLACED}`,
    )
    .run(key.issuer, key.id, endedAtMs);
  removeStops(connection, key);
}

/** Within a transaction: `StateRows.removeStops`. */
export function removeStops(connection: Connection, { issuer, id }: TaskKey): void {
  connection
    .statement(`DELETE FROM stops INDEXED BY stops_task WHERE task = ?2 AND task > '' AND issuer = ?1`)
    .run(issuer, id);
}

/** Within a transaction: `StateRows.liftStops`. */
export function deleteStops(connection: Connection, { issuer, agent, actions }: Omit<StopQuery, 'subject'>): void {
  connection
    .statement(
      `DELETE FROM stops WHERE issuer = ?1 AND agent = ?2 AND task = '' AND action IN (SELECT value FROM json_each(?3))`,
    )
    .run(issuer, agent, JSON.stringify(actions));
}

const OLD = 'FROM stops INDEXED BY stops_ended WHERE ended_ms IS NOT NULL AND ended_ms <= ?';

/** Whether there are stops to forget. @param nowMs the earlier of both clocks */
export const hasOldStops = (connection: Connection, nowMs: number): boolean =>
  connection.statement(`SELECT 1 ${OLD} LIMIT 1`).get(nowMs - STOP_MEMORY_MS) !== undefined;

/** Within a transaction: deletes at most `limit` old stops. Gives how many it deleted. */
export const forgetStops = (connection: Connection, nowMs: number, limit: number): number =>
  Number(
    connection
      .statement(
        `DELETE FROM stops WHERE (issuer, agent, subject, action, task) IN
         (SELECT issuer, agent, subject, action, task ${OLD} ORDER BY ended_ms LIMIT ?)`,
      )
      .run(nowMs - STOP_MEMORY_MS, limit).changes,
  );
