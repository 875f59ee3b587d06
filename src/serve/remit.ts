import { unmetGateTexts } from './admin/readiness.ts';
import type { Gate } from './admin/readiness.ts';
import type { Config } from '../core/config/config.ts';
import { receiptOf } from '../core/fleet/receipt.ts';
import type { FleetReport } from '../core/fleet/fleet-report.ts';
import type { Destinations } from '../core/telemetry/destinations.ts';
import { LOST_COMMITS } from '../core/fleet/fleet-report.ts';
import { watchFaults } from '../core/telemetry/faults.ts';
import { formatFor } from '../core/telemetry/metrics/exposition.ts';
import { after } from '../core/runtime/timers.ts';
import type { ServingAuthority } from '../authority/feed/start-authority.ts';
import { startedOrClosed } from './closers.ts';
import type { Closers } from './closers.ts';
import { Drain } from './drain.ts';
import { followGates, gatesOf } from './gates.ts';
import type { Ledger } from './ledger/ledger.ts';
import { measureRoles } from './roles/measures.ts';
import { listeningSidecar, watchMeshSidecar } from './mesh-sidecar.ts';
import type { Parts } from './parts.ts';
import { isStartProblem } from './start-problem.ts';
import type { StartProblem } from './start-problem.ts';
import { lockStateFile } from './state/state.ts';
import type { StateFile } from './state/state.ts';
import { startConfiguredRoles } from './roles/start-roles.ts';
import type { StartedRoles } from './roles/start-roles.ts';
import { openAdmin } from './roles/admin.ts';
import type { OpenAdmin } from './roles/admin.ts';
import { openParts } from './open-parts.ts';
import type { RemitOptions } from './remit-options.ts';
import { closeToVolumeGroup } from './volume-group.ts';
import { Waits } from './waits.ts';

/** The running roles of a configuration. */
export interface Remit {
  /** The state file; `null` if the state is elsewhere: at a sidecar, or with a PostgreSQL. */
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

/** Starts every role that the configuration names, or none: if a role cannot start, everything opened before is closed. */
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
    const listener = () => listeningSidecar(options.environment);
    const admin = await openAdmin(config, { gate: waits.gate, closers, listener, ports });
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
  const { policyLoads, telemetry, metrics, log } = parts;
  const roles = await startConfiguredRoles(parts, { waits, closers });
  if (isStartProblem(roles)) return roles;
  const { ring, signingKeys, authority, checks } = roles;
  const drain = new Drain(() => parts.live().drainSeconds, after);
  const gates = gatesOf(parts, { keys: ring, signingKeys, drain, authority, mesh, hasChecks: checks !== null });
  measureRoles(parts, { authority, checks: checks?.server ?? { inFlight: 0 }, gates, keys: ring });
  serveAdmin(admin, parts, { gates, roles });
  // It reads parts that are closed after it.
  closers.push(() => admin.server.close());
  closers.push(followGates(checks?.server ?? null, { gates, drain, log }));
  closers.push(watchPartFaults(parts));
  await pinKeyFiles(parts);
  // Pushed last, so it is closed first: the export must stop before any measured part closes.
  closers.push(telemetry.beginPush(metrics.read));
  log(
    `${checks === null ? 'no checks' : `checks on ${checks.bound.join(', ')}`}; ${destinationsText(telemetry.destinations)}`,
  );
  log(parts.ledger.notice, 'ledger');
  policyLoads.report();
  return remitOf(parts, roles, { gates, drain, adminPort: admin.port });
}

/** Answers readiness, metrics, and the questions of `remit` about this process. */
function serveAdmin(
  admin: OpenAdmin,
  { metrics, trial, database }: Parts,
  { gates, roles }: { readonly gates: readonly Gate[]; readonly roles: StartedRoles },
): void {
  const { authority, enforcement, checks, issuer } = roles;
  admin.server.serve(gates, {
    scrape: (accept) => metrics.scrape(formatFor(accept)),
    trial: () => trial.report(),
    receipt: (root) => (enforcement === null ? null : receiptOf(enforcement, [root])),
    traces: checks?.traces ?? null,
    verification: (receiver, state) => issuer?.verifySignals(receiver, state) ?? null,
    fleet: () => (authority === null ? null : fleetReport(authority, database)),
  });
}

const watchPartFaults = ({ faults, svid, stateHealth, database, ledger }: Parts): (() => unknown) =>
  watchFaults(
    faults,
    {
      svid: () => svid?.problem() ?? null,
      'state file': () => stateHealth.problem(),
      [LOST_COMMITS]: () => database?.lost() ?? null,
      ledger: () => ledger.writer.problem,
    },
    after,
  );

/** Notes the keys of the ledger and of transaction tokens, so that a reload shows if their files have changed. */
async function pinKeyFiles({ keyFiles, config }: Parts): Promise<void> {
  await keyFiles.pin('ledger.key', config.ledger.keyFile);
  const transactionKey = config.issuer?.transactionKey ?? null;
  if (transactionKey !== null) await keyFiles.pin('issuer.transactionKey', transactionKey);
}

const remitOf = (
  { stateFile, ledger, live, keyFiles, policyLoads, shares }: Parts,
  { authority, issuer, signingKeys }: StartedRoles,
  { gates, drain, adminPort }: { readonly gates: readonly Gate[]; readonly drain: Drain; readonly adminPort: number },
): Omit<Remit, 'close'> => ({
  stateFile,
  issuerPort: issuer?.port ?? null,
  adminPort,
  flush: () => ledger.flush(),
  recordsOf: ledger.recordsOf,
  drain: (hurry) => {
    // Sidecars move while their requests are still answered.
    authority?.drain((live().drainSeconds * 1_000) / 2);
    void shares.close();
    return drain.begin(hurry);
  },
  unmet: () => unmetGateTexts(gates),
  rotateKeys: async () => (signingKeys === null ? 'this process signs no tokens' : signingKeys.rotate()),
  reload: async () => {
    // Key files first, since they verify a bundle.
    await keyFiles.reload();
    await policyLoads.reload();
    await signingKeys?.reload();
  },
});

const fleetReport = async (authority: ServingAuthority, database: Parts['database']): Promise<FleetReport> => ({
  ...authority.report(),
  database: database === null ? null : await database.report(),
});

/** The destination of spans, and of pushed metrics if any. */
const destinationsText = ({ traces, metrics }: Destinations): string =>
  `spans to ${traces?.text ?? 'none'}${metrics === null ? '' : `; metrics to ${metrics.text}`}`;
