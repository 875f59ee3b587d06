import { unmetGateTexts } from './admin/readiness.ts';
import type { Config } from '../core/config/config.ts';
import { receiptOf } from '../core/fleet/receipt.ts';
import type { FleetReport } from '../core/fleet/fleet-report.ts';
import type { Destinations } from '../core/telemetry/destinations.ts';
import { LOST_COMMITS } from '../core/fleet/fleet-report.ts';
import { watchFaults } from '../core/telemetry/faults.ts';
import { formatFor } from '../core/telemetry/metrics/exposition.ts';
import { after } from '../core/runtime/timers.ts';
import type { ServingAuthority } from '../authority/feed/start-authority.ts';
import { startChecks } from './roles/check-role.ts';
import { startedOrClosed } from './closers.ts';
import type { Closers } from './closers.ts';
import { Drain } from './drain.ts';
import { followGates, gatesOf } from './gates.ts';
import type { Ledger } from './ledger/ledger.ts';
import { measureRoles } from './roles/measures.ts';
import { watchMeshSidecar } from './mesh-sidecar.ts';
import type { Parts } from './parts.ts';
import { isStartProblem } from './start-problem.ts';
import type { StartProblem } from './start-problem.ts';
import { lockStateFile } from './state/state.ts';
import type { StateFile } from './state/state.ts';
import { openTokenKeys, untilKeySigns } from './keys/token-keys.ts';
import { openTransactions } from './roles/transactions.ts';

import { openAdmin } from './roles/admin.ts';
import type { OpenAdmin } from './roles/admin.ts';
import { openParts } from './open-parts.ts';
import type { RemitOptions } from './remit-options.ts';
import { closeToVolumeGroup } from './volume-group.ts';
import { Waits } from './waits.ts';

/** The running roles of a configuration. */
export interface Remit {
  /** The state file; `null` at a sidecar. */
  readonly stateFile: StateFile | null;
  /** Port of the issuer; `null` if there is none. */
  readonly issuerPort: number | null;
  readonly adminPort: number;
  /** Reads policies, keys and certificates again. Invalid files are logged, and the old content stays in force. */
  reload(): Promise<void>;
  /** Publishes a new signing key, which signs six minutes later. Returns the problem if it cannot. */
  rotateKeys(): Promise<string | null>;
  /** The first records of a task in ledger order, including those still queued; at most `limit`. */
  readonly recordsOf: Ledger['recordsOf'];
  /** Writes all queued records. */
  flush(): Promise<void>;
  /**
   * Makes health checks and `/readyz` fail for `drainSeconds`, while requests are still answered. Resolves then, or as soon as `hurry`
   * aborts.
   */
  drain(hurry: AbortSignal): Promise<void>;
  /** The unmet conditions of readiness, each as `gate: what is missing`. */
  unmet(): readonly string[];
  /** Stops every role, after requests in progress are answered. */
  close(): Promise<void>;
}

/** Starts every role that the configuration names, or none: if one cannot start, everything opened before is closed. */
export const startRemit = (config: Config, options: RemitOptions): Promise<Remit | StartProblem> =>
  startedOrClosed(options.log, async (closers) => {
    const { ports, log, stop = null } = options;
    const waits = new Waits({ ports, after, log, stop });
    const closed = options.isRehearsal === true ? 0 : closeToVolumeGroup(config);
    if (closed > 0)
      log(`the group of the volume could write ${closed} own files and folders (\`fsGroup\`): closed again`);
    const lock = config.state.kind === 'sqlite' ? lockStateFile(config.state.path) : null;
    if (isStartProblem(lock)) return lock;
    if (lock !== null) closers.push(() => lock.release());
    const admin = await openAdmin(config, { gate: waits.gate, closers });
    if (isStartProblem(admin)) return admin;
    const parts = await openParts(config, options, { waits, closers });
    if (isStartProblem(parts)) return parts;
    const mesh = watchMeshSidecar(config, options.environment);
    closers.push(() => mesh.close());
    return startRoles(parts, { admin, waits, mesh, closers });
  });

async function startRoles(
  parts: Parts,
  {
    admin,
    waits,
    mesh,
    closers,
  }: {
    readonly admin: OpenAdmin;
    readonly waits: Waits;
    readonly mesh: Pick<ReturnType<typeof watchMeshSidecar>, 'problem'>;
    readonly closers: Closers;
  },
): Promise<Omit<Remit, 'close'> | StartProblem> {
  const { config, stateFile, ledger, policyLoads, svid, telemetry, metrics, faults, stateHealth, log } = parts;
  let serving: ServingAuthority | null = null;
  const keys = await openTokenKeys(parts, {
    onPublished: () => serving?.keysChanged(),
    isCurrent: () => serving?.isCurrent() ?? false,
    closers,
  });
  if (isStartProblem(keys)) return keys;
  const { ring, signingKeys, readKeys } = keys;
  const transactions = await openTransactions(parts);
  if (isStartProblem(transactions)) return transactions;
  // Before the issuer, whose replies wait for its sidecars.
  const authority =
    config.authority.listen.length === 0
      ? null
      : await (
          await import('./roles/authority-role.ts')
        ).startAuthorityRole(parts, { issuer: config.issuer, signingKeys, readKeys, waits, closers });
  if (authority !== null && !('targets' in authority)) return authority;
  serving = authority;
  const enforcement =
    authority === null ? null : { enforced: authority.enforced, monotonicMs: parts.ports.monotonicMs };
  await untilKeySigns(parts, signingKeys);
  const verified = transactions?.verified;
  const issuer =
    config.issuer === null || signingKeys === null
      ? null
      : await (
          await import('./roles/issuer-role.ts')
        ).startIssuer(parts, config.issuer, { signingKeys, transactions: verified, enforcement, closers });
  if (isStartProblem(issuer)) return issuer;
  // An authority on a PostgreSQL has no state in memory by which checks could be decided.
  const checks =
    parts.database === null
      ? await startChecks(parts, { keys: ring, transactionToken: transactions?.sign ?? null, closers })
      : null;
  if (isStartProblem(checks)) return checks;
  const drain = new Drain(() => parts.live().drainSeconds, after);
  const gates = gatesOf(parts, { keys: ring, signingKeys, drain, authority, mesh });
  measureRoles(parts, { authority, checks: checks?.server ?? { inFlight: 0 }, gates, keys: ring });
  admin.server.serve(gates, {
    scrape: (accept) => metrics.scrape(formatFor(accept)),
    trial: () => parts.trial.report(),
    receipt: (root) => (enforcement === null ? null : receiptOf(enforcement, [root])),
    traces: checks?.traces ?? null,
    fleet: () => (authority === null ? null : fleetReport(authority, parts.database)),
  });
  // It reads parts that are closed after it.
  closers.push(() => admin.server.close());
  closers.push(followGates(checks?.server ?? null, { gates, drain, log }));
  const watched = {
    svid: () => svid?.problem() ?? null,
    'state file': () => stateHealth.problem(),
    [LOST_COMMITS]: () => parts.database?.lost() ?? null,
  };
  closers.push(watchFaults(faults, { ...watched, ledger: () => ledger.writer.problem }, after));
  await parts.keyFiles.pin('ledger.key', config.ledger.keyFile);
  const transactionKey = config.issuer?.transactionKey ?? null;
  if (transactionKey !== null) await parts.keyFiles.pin('issuer.transactionKey', transactionKey);
  // Pushed last, so it is closed first: the export must stop before any measured part closes.
  closers.push(telemetry.beginPush(metrics.read));
  log(
    `${checks === null ? 'no checks' : `checks on ${checks.bound.join(', ')}`}; ${destinationsText(telemetry.destinations)}`,
  );
  log(ledger.notice, 'ledger');
  policyLoads.report();
  return {
    stateFile,
    issuerPort: issuer?.port ?? null,
    adminPort: admin.port,
    flush: () => ledger.flush(),
    recordsOf: ledger.recordsOf,
    drain: (hurry) => {
      // Sidecars move while their requests are still answered.
      authority?.drain((parts.live().drainSeconds * 1_000) / 2);
      return drain.begin(hurry);
    },
    unmet: () => unmetGateTexts(gates),
    rotateKeys: async () => (signingKeys === null ? 'this process signs no tokens' : signingKeys.rotate()),
    reload: async () => {
      // Key files first, since they verify a bundle.
      await parts.keyFiles.reload();
      await policyLoads.reload();
      await signingKeys?.reload();
    },
  };
}

const fleetReport = async (authority: ServingAuthority, database: Parts['database']): Promise<FleetReport> => ({
  ...authority.report(),
  database: database === null ? null : await database.report(),
});

/** The destination of spans, and of pushed metrics if any. */
const destinationsText = ({ traces, metrics }: Destinations): string =>
  `spans to ${traces?.text ?? 'none'}${metrics === null ? '' : `; metrics to ${metrics.text}`}`;
