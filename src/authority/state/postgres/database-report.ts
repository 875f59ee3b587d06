import type { PostgresTarget } from '../../../core/config/postgres-url.ts';
import type { DatabaseHostReport, DatabaseReport, StandbyReport } from '../../../core/fleet/fleet-report.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import { numberOrNull } from '../../../core/state/writes/task-row.ts';
import type { Database } from './database.ts';
import { hostText, rolesOf } from './primary.ts';
import type { HostRole } from './primary.ts';

/** Most standbys that are listed. */
const MAX_STANDBYS = 64;

/** If the role may not see standbys, it sees rows without a state. */
const STANDBYS = `SELECT coalesce(application_name, '') AS name, coalesce(host(client_addr), '') AS address, state, sync_state AS sync,
    pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint AS behind
  FROM pg_stat_replication ORDER BY behind DESC NULLS FIRST, name LIMIT ${MAX_STANDBYS}`;

/**
 * The oldest transaction or prepared transaction in this database, of any client: while it lasts, no version of a row is removed, and beats
 * take longer and longer. Transactions that a role may not see have no start. Standbys with `hot_standby_feedback` and replication slots keep
 * rows too, but the server has only a transaction id for them, without an instant: the run-book describes how to find them.
 */
const OPEN = `SELECT floor(extract(epoch FROM clock_timestamp() - min(began)))::bigint AS seconds FROM (
    SELECT xact_start AS began FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid() AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL)
    UNION ALL SELECT prepared FROM pg_prepared_xacts WHERE database = current_database()) t`;

/** The waiting records are those that were not deleted; the first is the oldest. */
const WAITING = `SELECT greatest(0, extract(epoch FROM clock_timestamp()) - at_ms / 1000)::bigint AS seconds FROM remit.outbox ORDER BY seq LIMIT 1`;

/**
 * What `remit fleet` shows of the database, without its problems. Connects to each host for its role.
 *
 * @param options.askMs as with `rolesOf`
 */
export async function databaseReport(
  database: Database,
  { target, askMs }: { readonly target: PostgresTarget; readonly askMs?: number | undefined },
): Promise<Omit<DatabaseReport, 'problem' | 'cause'>> {
  const [roles, found, waiting, open] = await Promise.all([
    rolesOf(target, askMs),
    database.look(STANDBYS),
    database.look(WAITING),
    database.look(OPEN),
  ]);
  const rows = isStoreFailure(found) ? null : found.rows;
  const isHidden = rows === null || rows.some((row) => row['state'] === null);
  return {
    hosts: roles.map(hostReportOf),
    standbys: isHidden ? null : rows.map(standbyFrom),
    transaction_open_s: isStoreFailure(open) ? null : numberOrNull(open.rows[0]?.['seconds']),
    records_wait_s: isStoreFailure(waiting) ? null : Number(waiting.rows[0]?.['seconds'] ?? 0),
  };
}

const hostReportOf = (role: HostRole): DatabaseHostReport => ({
  host: hostText(role.host),
  role: role.role,
  timeline: role.role === 'unknown' ? null : role.timeline,
  problem: role.role === 'unknown' ? role.failure.detail : '',
});

const standbyFrom = (row: Readonly<Record<string, unknown>>): StandbyReport => ({
  name: String(row['name']),
  address: String(row['address']),
  state: String(row['state']),
  sync: String(row['sync']),
  behind_bytes: row['behind'] === null ? null : Number(row['behind']),
});
