import { unmetGates } from '../admin/readiness.ts';
import { AdminServer } from '../admin/server.ts';
import type { Config } from '../config/config.ts';
import { statePathOf } from '../config/state.ts';
import { addressText } from '../config/values.ts';
import { writablePathProblem } from '../config/writable-path.ts';
import type { PathGuard } from '../config/writable-path.ts';
import type { LiveSettings } from '../config/live-config.ts';
import type { Svid, SvidSource } from '../identity/svid.ts';
import { openSvidSource } from '../identity/svid-settings.ts';
import { SigningKeys } from '../issuer/signing-keys.ts';
import type { Ports } from '../runtime/ports.ts';
import type { Upkeep } from '../state/authority.ts';
import type { PolicyInForce } from '../policy/policy-in-force.ts';
import { Reports } from '../state/reports.ts';
import { isStoreFailure } from '../sqlite/store-failure.ts';
import { repeatedly } from '../runtime/repeatedly.ts';
import type { Destinations } from '../telemetry/destinations.ts';
import type { LineSink } from '../telemetry/decision-log.ts';
import { Faults, watchFaults } from '../telemetry/faults.ts';
import type { Log } from '../telemetry/log.ts';
import { formatFor } from '../telemetry/exposition.ts';
import { newMetrics } from '../telemetry/metrics.ts';
import { measureProcess } from '../telemetry/process-usage.ts';
import { startTelemetry } from '../telemetry/start-telemetry.ts';
import type { KeyRing } from '../token/keys.ts';
import { after } from '../runtime/timers.ts';
import { authorityPlaces } from './authority-places.ts';
import { AnnouncedKeys } from './announced-keys.ts';
import { CheckActivity } from './check-activity.ts';
import { startChecks } from './check-role.ts';
import { followClockLead } from './clock-lead.ts';
import { startedOrClosed } from './closers.ts';
import type { Closers } from './closers.ts';
import { Drain } from './drain.ts';
import { followGates, gatesOf } from './gates.ts';
import { startIssuer } from './issuer-role.ts';
import { KeyFiles } from './key-files.ts';
import { openKeyRing } from './keys.ts';
import { openLedger } from './ledger.ts';
import type { Ledger } from './ledger.ts';
import { measureRoles } from './measures.ts';
import { followOwnSvid } from './own-svid.ts';
import { otelEnvironmentProblems } from './otel-environment.ts';
import type { Parts } from './parts.ts';
import { openPolicies } from './policies.ts';
import { movedKeysWarning } from './signing-key-place.ts';
import { ShippedRecords } from './shipped-records.ts';
import { StateHealth } from './state-health.ts';
import { codeOf, isStartProblem } from './start-problem.ts';
import type { StartProblem } from './start-problem.ts';
import { keepState } from './state-upkeep.ts';
import { openSidecar } from './sidecar.ts';
import { openStateFile } from './state.ts';
import type { State, StateFile } from './state.ts';
import { openTransactions } from './transactions.ts';

/** Options of a process of Remit, besides its configuration. */
export interface RemitOptions {
  readonly ports: Ports;
  /** Read only for the `OTEL_*` variables. The configuration was read before. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Logs one line for the operator. Never a secret. */
  readonly log: Log;
  /** Receives the decision log, where it is configured; absent, decisions are not logged. */
  readonly stdout?: LineSink;
  /** Refuses trusted files that others can write, at start and at each reload. Default `writablePathProblem`. */
  readonly guard?: PathGuard;
  /** The live configuration, where it can change. Default: that of the start. */
  readonly live?: () => LiveSettings;
  /** Called once when the state file fails. Everything is denied from then on, and the process must exit. */
  readonly onFatal: (detail: string) => void;
}

/** The running roles of one configuration. */
export interface Remit {
  /** The state file; `null` at a sidecar. */
  readonly stateFile: StateFile | null;
  /** Port of the issuer; `null` where there is none. */
  readonly issuerPort: number | null;
  readonly adminPort: number;
  /** Reads policies, keys and certificates again. Invalid ones are logged, and the old ones stay in force. */
  reload(): Promise<void>;
  /** Publishes a new signing key, which signs six minutes later. Returns the problem where it cannot. */
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

/** Interval at which tasks past their deadline are ended. */
const SWEEP_MS = 1000;

/** Starts every role that the configuration names, or none: if one cannot start, everything opened before is closed. */
export const startRemit = (config: Config, options: RemitOptions): Promise<Remit | StartProblem> =>
  startedOrClosed(options.log, async (closers) => {
    const parts = await openParts(config, options, closers);
    return isStartProblem(parts) ? parts : startRoles(parts, closers);
  });

/** Opens the parts that the roles share: traces, state, ledger, SVID and policies. */
async function openParts(config: Config, options: RemitOptions, closers: Closers): Promise<Parts | StartProblem> {
  const { ports, log, guard = writablePathProblem, live = () => config } = options;
  const metrics = newMetrics();
  const faults = new Faults(log);
  const keyFiles = new KeyFiles({ guard, faults, log });
  const stateHealth = new StateHealth(metrics);
  closers.push(measureProcess(metrics));
  const unfollowed = otelEnvironmentProblems(options.environment);
  if (unfollowed.length > 0) return { problem: unfollowed.join('\n') };
  const telemetry = await startTelemetry(options.environment, {
    ports,
    log: (line) => log(line, 'telemetry'),
    onDropped: (queue, count) => metrics.spansDropped.of({ queue }).inc(count),
  });
  closers.push(() => telemetry.close());
  let relay: (() => void) | null = null;
  // The state is opened first and closed last. It meets what is opened after it only later.
  const opening: { svid: SvidSource | null; policies: PolicyInForce | null; ledger: Ledger | null } = {
    svid: null,
    policies: null,
    ledger: null,
  };
  const announced = new AnnouncedKeys();
  const places =
    config.state.kind === 'authority' ? authorityPlaces(config.state.addresses, config, () => opening.svid) : null;
  const shipped = places && new ShippedRecords(places, { ports, faults, metrics, log: (line) => log(line, 'ledger') });
  const state: State | StartProblem =
    places !== null
      ? openSidecar(places, {
          ports,
          faults,
          metrics,
          policies: () => opening.policies?.get() ?? null,
          ledger: () =>
            opening.ledger && {
              problem: opening.ledger.writer.problem,
              unacknowledged: opening.ledger.writer.queued + (shipped?.unacknowledged ?? 0),
            },
          onKeys: (issuer, jwks) => announced.take(issuer, jwks),
          closers,
        })
      : await openStateFile(
          { path: statePathOf(config.state), stateAccess: config.stateAccess },
          {
            ports,
            log,
            onFatal: options.onFatal,
            onRecords: () => relay?.(),
            onWrite: stateHealth.written,
            closers,
          },
        );
  if (isStartProblem(state)) return state;
  const { stateFile, states } = state;
  const reports = new Reports(
    { authority: state.reporting, states },
    {
      after,
      log,
      onResult: (kind, result, count) => metrics.sideWrites.of({ kind, result }).inc(count),
    },
  );
  closers.push(() => reports.close());
  metrics.beforeScrape(() => metrics.sideWritesQueued.of({}).set(reports.queued));
  if (stateFile !== null) {
    const { authority } = stateFile;
    closers.push(await endExpiredTasks(authority, faults));
    closers.push(keepState(authority, { keepSeconds: () => live().endedTasks.keepSeconds, after, log, metrics }));
  }
  closers.push(followClockLead(states, { log: (line) => log(line, 'clock'), metrics }));
  const onUsed = (used: ReadonlyMap<string, number>): void => reports.used(used);
  const opened = await openLedger(config, {
    ...options,
    stateFile,
    shipped,
    metrics,
    faults,
    onCheckpoint: telemetry.emitCheckpoint,
    onUsed,
    closers,
  });
  if (isStartProblem(opened)) return opened;
  // Records of this flush still reach the ledger. `close` writes the rest.
  closers.push(() => reports.flush());
  relay = opened.relay;
  opening.ledger = opened;
  const open = await openPolicies(config, {
    ports,
    metrics,
    log,
    faults,
    guard,
    keyFiles,
    ledger: opened.writer,
    closers,
  });
  if (isStartProblem(open)) return open;
  const { policies, trial, loads: policyLoads } = open;
  opening.policies = policies;
  const onProblem = (problem: string): void => faults.set('svid', problem);
  const svid = config.svid === null ? null : await openSvidSource(config.svid, { ports, after, onProblem });
  closers.push(() => svid?.close());
  opening.svid = svid;
  if (state.sidecar !== null) closers.push(svid?.onChange(() => state.sidecar?.renewed()) ?? (() => undefined));
  const unfit = followOwnSvid(svid, { config, log });
  if (unfit !== null) return { problem: unfit };
  const onRenewed = ({ id, notAfterMs }: Svid): void => {
    const until = new Date(notAfterMs).toISOString();
    log(`svid: \`${id}\` is valid until ${until}`, 'svid-renewed', { id, until });
  };
  closers.push(svid?.onChange(onRenewed) ?? (() => undefined));
  return {
    config,
    ports,
    log,
    faults,
    guard,
    ...state,
    stateHealth,
    announced,
    reports,
    ledger: opened,
    policies,
    policyLoads,
    trial,
    svid,
    telemetry,
    metrics,
    checkActivity: new CheckActivity(ports.monotonicMs),
    decisionStream: options.stdout ?? null,
    keyFiles,
    live,
  };
}

/**
 * Writes the end of tasks that have expired by the floor of the state, so that no step of the clock revives them: once before this
 * resolves, then every second, one sweep at a time. The returned function stops it, and resolves once the sweep in progress is over.
 */
async function endExpiredTasks(authority: Pick<Upkeep, 'endExpired'>, faults: Faults): Promise<() => Promise<void>> {
  const told = (problem: string | null): void => faults.set('tasks past their deadline could not be ended', problem);
  const sweep = async (): Promise<void> => {
    const ended = await authority.endExpired();
    told(isStoreFailure(ended) ? ended.detail : null);
  };
  await sweep();
  return repeatedly(sweep, { everyMs: SWEEP_MS, after, onFault: told });
}

async function startRoles(parts: Parts, closers: Closers): Promise<Omit<Remit, 'close'> | StartProblem> {
  const { config, stateFile, ledger, policyLoads, svid, telemetry, metrics, faults, stateHealth, log } = parts;
  const keys = await openKeys(parts, closers);
  if (isStartProblem(keys)) return keys;
  const { ring, signingKeys } = keys;
  const transactions = await openTransactions(parts);
  if (isStartProblem(transactions)) return transactions;
  const issuer =
    config.issuer === null || signingKeys === null
      ? null
      : await startIssuer(parts, config.issuer, { signingKeys, transactions: transactions?.verified, closers });
  if (isStartProblem(issuer)) return issuer;
  const checks = await startChecks(parts, { keys: ring, transactionToken: transactions?.sign ?? null, closers });
  if (isStartProblem(checks)) return checks;
  const drain = new Drain(() => parts.live().drainSeconds, after);
  const gates = gatesOf(parts, { keys: ring, drain });
  measureRoles(parts, { checks: checks.server, gates, keys: ring });
  const admin = new AdminServer(gates, {
    scrape: (accept) => metrics.scrape(formatFor(accept)),
    trial: () => parts.trial.report(),
    hosts: [...(config.admin.listen.kind === 'tcp' ? [config.admin.listen.host] : []), ...config.admin.hosts],
  });
  closers.push(() => admin.close());
  const adminPort = await listenAdmin(admin, parts);
  if (isStartProblem(adminPort)) return adminPort;
  closers.push(followGates(checks.server, { gates, drain, log }));
  const watched = { svid: () => svid?.problem() ?? null, 'state file': () => stateHealth.problem() };
  closers.push(watchFaults(faults, { ...watched, ledger: () => ledger.writer.problem }, after));
  await parts.keyFiles.pin('ledger.key', config.ledger.keyFile);
  const transactionKey = config.issuer?.transactionKey ?? null;
  if (transactionKey !== null) await parts.keyFiles.pin('issuer.transactionKey', transactionKey);
  // Pushed last, so it is closed first: the export must stop before any measured part closes.
  closers.push(telemetry.beginPush(metrics.read));
  log(`checks on ${checks.bound.join(', ')}; ${destinationsText(telemetry.destinations)}`);
  log(ledger.notice, 'ledger');
  policyLoads.report();
  return {
    stateFile,
    issuerPort: issuer?.port ?? null,
    adminPort,
    flush: () => ledger.flush(),
    recordsOf: ledger.recordsOf,
    drain: (hurry) => drain.begin(hurry),
    unmet: () => unmetGates(gates),
    rotateKeys: async () => (signingKeys === null ? 'this process signs no tokens' : signingKeys.rotate()),
    reload: async () => {
      // Key files first, since they verify a bundle.
      await parts.keyFiles.reload();
      await policyLoads.reload();
      await signingKeys?.reload();
    },
  };
}

/** The destination of spans, and of pushed metrics where there is one. */
const destinationsText = ({ traces, metrics }: Destinations): string =>
  `spans to ${traces?.text ?? 'none'}${metrics === null ? '' : `; metrics to ${metrics.text}`}`;

interface Keys {
  readonly ring: KeyRing;
  /** `null` where this process issues no tokens. */
  readonly signingKeys: SigningKeys | null;
}

/** The keys that verify tokens, kept in step with the signing keys of this process. */
async function openKeys(parts: Parts, closers: Closers): Promise<Keys | StartProblem> {
  const { config, ports, faults, log } = parts;
  const { issuer } = config;
  const moved = movedKeysWarning(config);
  if (moved !== null) log(moved);
  let ring: KeyRing | null = null;
  const signingKeys =
    issuer === null
      ? null
      : await SigningKeys.open(issuer.signingKey, {
          ports,
          after,
          onProblem: (problem) => faults.set('signing keys', problem),
          onPublished: (jwks) => {
            ring?.replace(issuer.url, jwks);
            log(`signing keys: ${jwks.keys.length} published`, 'keys-published', { keys: jwks.keys.length });
          },
        });
  if (isStartProblem(signingKeys)) return signingKeys;
  closers.push(() => signingKeys?.close());
  const own = issuer === null || signingKeys === null ? null : { issuer: issuer.url, jwks: signingKeys.jwks() };
  const opened = await openKeyRing(parts, config.acceptedIssuers, own);
  if (isStartProblem(opened)) return opened;
  ring = opened;
  parts.announced.follow(opened);
  closers.push(() => opened.close());
  return { ring: opened, signingKeys };
}

async function listenAdmin(admin: AdminServer, { config }: Parts): Promise<number | StartProblem> {
  const { listen } = config.admin;
  if (listen.kind !== 'tcp') return { problem: '`admin.listen` must be `host:port`' };
  try {
    return await admin.listen(listen);
  } catch (error) {
    return { problem: `admin cannot listen on \`${addressText(listen)}\`: ${codeOf(error)}` };
  }
}
