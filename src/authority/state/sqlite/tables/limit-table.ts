/** The tables of limits over all tasks: counters by window, and the values that counters of distinct values have seen. */
import type { SpiffeId } from '../../../../core/identity/spiffe-id.ts';
import type { OpenTaskCount } from '../../../../core/limit/open-task-uses.ts';
import type { LimitCount, LimitCounter, OpenTasksLimit } from '../../../../core/limit/limit-spend.ts';
import { MAX_LIMIT_USES } from '../../../../core/state/limit-use.ts';
import type { LimitPeak, LimitUse, LimitUseFilter } from '../../../../core/state/limit-use.ts';
import type { Connection } from '../connection.ts';

const KEY = 'limit_id = ? AND measure = ? AND who = ? AND starts_ms = ? AND ends_ms = ?';

/** The value of a counter; 0 if there is no such counter. */
export function limitUsed(connection: Connection, { limit, measure, who, startsMs, endsMs }: LimitCounter): number {
  const sql = `SELECT used FROM limit_counts WHERE ${KEY}`;
  return Number(connection.statement(sql).get(limit, measure, who, startsMs, endsMs)?.['used'] ?? 0);
}

/** Within a transaction: sets a counter. */
export function setLimitUsed(
  connection: Connection,
  counter: LimitCounter,
  { used, max }: Pick<LimitUse, 'used' | 'max'>,
): void {
  const { limit, measure, who, startsMs, endsMs } = counter;
  const sql =
    'INSERT INTO limit_counts VALUES (?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET used = excluded.used, max = excluded.max';
  connection.statement(sql).run(limit, measure, who, startsMs, endsMs, used, max);
}

/** `StoreReader.limitUses`. */
export function listLimitUses(connection: Connection, { limit, who }: LimitUseFilter): readonly LimitUse[] {
  const conditions = [
    'ends_ms > ?1 AND starts_ms <= ?1',
    ...(limit === undefined ? [] : ['limit_id = ?2']),
    ...(who === undefined ? [] : ['who = ?3']),
  ];
  const sql = `SELECT * FROM limit_counts WHERE ${conditions.join(' AND ')} AND ?2 IS NOT NULL AND ?3 IS NOT NULL ORDER BY used DESC LIMIT ${MAX_LIMIT_USES}`;
  return connection
    .statement(sql)
    .all(connection.nowMs(), limit ?? '', who ?? '')
    .map((row) => ({
      limit: String(row['limit_id']),
      // `setLimitUsed` wrote it.
      measure: String(row['measure']) as LimitCount,
      who: String(row['who']),
      startsMs: Number(row['starts_ms']),
      endsMs: Number(row['ends_ms']),
      used: Number(row['used']),
      max: Number(row['max']),
    }));
}

/** `StoreReader.limitPeaks`. */
export const listLimitPeaks = (connection: Connection): readonly LimitPeak[] =>
  connection
    .statement(
      `SELECT limit_id, measure, max(CASE WHEN max = 0 THEN 1.0 ELSE CAST(used AS REAL) / max END) AS ratio FROM limit_counts
        WHERE ends_ms > ?1 AND starts_ms <= ?1 GROUP BY limit_id, measure`,
    )
    .all(connection.nowMs())
    .map((row) => ({
      limit: String(row['limit_id']),
      // `setLimitUsed` wrote it.
      measure: String(row['measure']) as LimitCount,
      ratio: Number(row['ratio']),
    }));

/** Whether a counter has a value. */
export function hasLimitValue(connection: Connection, counter: LimitCounter, digest: string): boolean {
  const { limit, who, startsMs, endsMs } = counter;
  const sql =
    'SELECT 1 FROM limit_values WHERE limit_id = ? AND who = ? AND starts_ms = ? AND ends_ms = ? AND digest = ?';
  return connection.statement(sql).get(limit, who, startsMs, endsMs, digest) !== undefined;
}

/** Within a transaction: adds a value to a counter. */
export function addLimitValue(connection: Connection, counter: LimitCounter, digest: string): void {
  const { limit, who, startsMs, endsMs } = counter;
  connection.statement('INSERT INTO limit_values VALUES (?,?,?,?,?)').run(limit, who, startsMs, endsMs, digest);
}

/** Number of open tasks by agent, counting only those of `agent` and of `subject`; `null` counts all. */
export function openTasksByAgent(
  connection: Connection,
  { agent, subject }: Pick<OpenTasksLimit, 'agent' | 'subject'>,
): readonly { readonly agent: string; readonly count: number }[] {
  const conditions = [
    'ended_ms IS NULL',
    ...(agent === null ? [] : ['agent = ?']),
    ...(subject === null ? [] : ['subject = ?']),
  ];
  const sql = `SELECT agent, count(*) AS count FROM tasks WHERE ${conditions.join(' AND ')} GROUP BY agent`;
  return connection
    .statement(sql)
    .all(...[agent, subject].filter((value) => value !== null))
    .map((row) => ({ agent: String(row['agent']), count: Number(row['count']) }));
}

/** `StoreReader.openTaskCounts`. */
export const listOpenTaskCounts = (connection: Connection): readonly OpenTaskCount[] =>
  connection
    .statement(
      'SELECT agent, subject, count(*) AS count FROM tasks WHERE ended_ms IS NULL GROUP BY agent, subject ORDER BY 3 DESC, 1, 2 LIMIT ?',
    )
    .all(MAX_LIMIT_USES)
    // Tasks have SPIFFE IDs.
    .map(({ agent, subject, count }) => ({
      agent: String(agent) as SpiffeId,
      subject: String(subject),
      count: Number(count),
    }));

const TABLES = ['limit_counts', 'limit_values'] as const;

/** Whether there are windows to delete. @param endedMs those that ended by this instant */
export const hasOldLimits = (connection: Connection, endedMs: number): boolean =>
  TABLES.some(
    (table) => connection.statement(`SELECT 1 FROM ${table} WHERE ends_ms <= ? LIMIT 1`).get(endedMs) !== undefined,
  );

/**
 * Within a transaction: deletes at most `limit` rows of each table, of ended windows. Gives the larger number of deleted rows.
 */
export function forgetLimits(connection: Connection, endedMs: number, limit: number): number {
  const deleted = [
    `DELETE FROM limit_counts WHERE (limit_id, measure, who, starts_ms, ends_ms) IN
      (SELECT limit_id, measure, who, starts_ms, ends_ms FROM limit_counts WHERE ends_ms <= ? ORDER BY ends_ms LIMIT ?)`,
    `DELETE FROM limit_values WHERE (limit_id, who, starts_ms, ends_ms, digest) IN
      (SELECT limit_id, who, starts_ms, ends_ms, digest FROM limit_values WHERE ends_ms <= ? ORDER BY ends_ms LIMIT ?)`,
  ].map((sql) => Number(connection.statement(sql).run(endedMs, limit).changes));
  return Math.max(...deleted);
}
