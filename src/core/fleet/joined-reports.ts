import { LOST_COMMITS } from './fleet-report.ts';
import type { FleetReport, ReplicaReport, SidecarReport } from './fleet-report.ts';

/**
 * Joins the reports of several authorities over one database; `null` for none. The figures of the authority itself are those of the
 * authority that is furthest ahead. A sidecar that has moved is listed once, at the authority to which it is connected. Pure.
 */
export function joinedReports(reports: readonly FleetReport[]): FleetReport | null {
  const [newest] = reports.toSorted((one, other) => other.position - one.position);
  if (newest === undefined) return null;
  const epochs = new Set(reports.map(({ epoch }) => epoch));
  const problems = [
    ...(epochs.size > 1 ? ['the authorities are of different databases, or of different lives of one'] : []),
    ...reports.flatMap(({ problem }) => problem ?? []),
  ];
  return {
    ...newest,
    problem: problems.length === 0 ? null : [...new Set(problems)].join('; '),
    replicas: replicasOf(reports),
    database: databaseOf(reports),
    sidecars: sidecarsOf(reports),
  };
}

/** A problem that any of them finds counts for all. */
function databaseOf(reports: readonly FleetReport[]): FleetReport['database'] {
  const all = reports.flatMap(({ database }) => database ?? []);
  return all.find(({ cause }) => cause === LOST_COMMITS) ?? all.find(({ cause }) => cause !== null) ?? all[0] ?? null;
}

/** Furthest behind first: not connected, then by changes, then by records, then by what is left of the lease. */
export const byLag = (one: SidecarReport, other: SidecarReport): number =>
  Number(one.connected) - Number(other.connected) ||
  other.behind - one.behind ||
  other.unacknowledged_records - one.unacknowledged_records ||
  one.lease_left_ms - other.lease_left_ms;

function sidecarsOf(reports: readonly FleetReport[]): readonly SidecarReport[] {
  const byName = new Map<string, SidecarReport>();
  for (const sidecar of reports.flatMap(({ sidecars }) => sidecars)) {
    const name = `${sidecar.peer} ${sidecar.instance}`;
    if (byName.get(name)?.connected !== true) byName.set(name, sidecar);
  }
  return [...byName.values()].toSorted(byLag);
}

/** Each replica as reported by the authority that saw a commit of it most recently. */
function replicasOf(reports: readonly FleetReport[]): readonly ReplicaReport[] {
  const byId = new Map<string, ReplicaReport>();
  for (const replica of reports.flatMap(({ replicas }) => replicas)) {
    const known = byId.get(replica.id);
    if (known === undefined || replica.beat_age_ms < known.beat_age_ms) byId.set(replica.id, replica);
  }
  return [...byId.values()].toSorted(
    (one, other) => silentLeases(other) - silentLeases(one) || other.behind - one.behind,
  );
}

/** Whole leases for which an authority has made no commit. */
export const silentLeases = ({ beat_age_ms: ageMs, lease_ms: leaseMs }: ReplicaReport): number =>
  leaseMs === 0 ? 0 : Math.floor(ageMs / leaseMs);
