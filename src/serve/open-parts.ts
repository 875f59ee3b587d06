import type { Config } from '../core/config/config.ts';
import { statePathOf } from '../core/config/state.ts';
import { writablePathProblem } from '../core/config/writable-path.ts';
import { firstSvid } from '../core/identity/first-svid.ts';
import type { Svid, SvidRefusal, SvidSource } from '../core/identity/svid.ts';
import { openSvidSource } from '../core/identity/svid-settings.ts';
import type { Upkeep } from '../core/state/authority.ts';
import type { PolicyInForce } from '../core/policy/policy-in-force.ts';
import { Reports } from '../core/state/reports.ts';
import { isStoreFailure } from '../core/runtime/store-failure.ts';
import { repeatedly } from '../core/runtime/repeatedly.ts';
import { Faults } from '../core/telemetry/faults.ts';
import { newMetrics } from '../core/telemetry/metrics/metrics.ts';
import { measureProcess } from '../core/telemetry/metrics/process-usage.ts';
import { startTelemetry } from '../core/telemetry/start-telemetry.ts';
import { after } from '../core/runtime/timers.ts';
import { authorityPlaces } from './roles/authority-places.ts';
import { AnnouncedKeys } from './keys/announced-keys.ts';
import { CheckActivity } from './roles/check-activity.ts';
import { followClockLead } from './roles/clock-lead.ts';
import type { Closers } from './closers.ts';
import { KeyFiles } from './keys/key-files.ts';
import { LogThread } from '../core/ledger/log/log-thread.ts';
import { openLedger } from './ledger/ledger.ts';
import type { Ledger } from './ledger/ledger.ts';
import { followOwnSvid } from './keys/own-svid.ts';
import { otelEnvironmentProblems } from './otel-environment.ts';
import type { Parts } from './parts.ts';
import { beginFolder, openPolicies } from './roles/policies.ts';
import { StateHealth } from './state/state-health.ts';
import { isStartProblem } from './start-problem.ts';
import type { StartProblem } from './start-problem.ts';
import { keepState } from './state/state-upkeep.ts';
import { socketFolderProblem } from './socket-access.ts';
import { openStateFile } from './state/state.ts';
import type { State } from './state/state.ts';
import type { RemitOptions } from './remit-options.ts';
import { beforeMigration } from './state/before-migration.ts';
import type { DatabaseServices } from './state/database.ts';
import type { Waits } from './waits.ts';
import { watchTaskCounts } from './roles/task-counts.ts';

/** Interval at which tasks past their deadline are ended. */
const SWEEP_MS = 1000;
/** How long an SVID is waited for before the log says so. */
const SVID_LOOK_MS = 2_000;

/** Opens the parts that the roles share: traces, state, ledger, SVID and policies. Each kind of state is loaded only where it is used. */
export async function openParts(
  config: Config,
  options: RemitOptions,
  { waits, closers }: { readonly waits: Waits; readonly closers: Closers },
): Promise<Parts | StartProblem> {
  const { ports, log, guard = writablePathProblem, live = () => config } = options;
  const metrics = newMetrics();
  const faults = new Faults(log);
  const keyFiles = new KeyFiles({ guard, faults, log });
  const ofFolder = beginFolder(config.policies, guard);
  // The thread loads its program meanwhile.
  const logThread = LogThread.start();
  closers.push(() => logThread.end());
  const stateHealth = new StateHealth(metrics);
  closers.push(measureProcess(metrics));
  const unfollowed = otelEnvironmentProblems(options.environment);
  if (unfollowed.length > 0) return { problem: unfollowed.join('\n') };
  const telemetry = await startTelemetry(options.environment, {
    ports,
    log: (line) => log(line, 'telemetry'),
    onDropped: (queue, count) => metrics.spansDropped.of({ queue }).inc(count),
    onTried: (isTaken) => metrics.spansTaken.of({}).set(isTaken ? 1 : 0),
  });
  closers.push(() => telemetry.close());
  const onProblem = (problem: string | null): void => faults.set('svid', problem);
  const onRefused = ({ cause, problem }: SvidRefusal): void =>
    log(`svid: not taken over: ${problem}`, 'svid-refused', { cause });
  const openingSvid = config.svid === null ? null : openSvidSource(config.svid, { ports, after, onProblem, onRefused });
  // Awaited below.
  openingSvid?.catch(() => undefined);
  closers.push(async () => (await openingSvid?.catch(() => null))?.close());
  if (openingSvid !== null && options.stop !== undefined && needsSvid(config)) {
    const source = await openingSvid;
    const first = await waits.until(() => svidOf(source));
    if (isStartProblem(first)) return first;
  }
  const outdated = await beforeMigration(config, { rehearse: options.rehearse, waits });
  if (outdated !== null) return outdated;
  let relay: (() => void) | null = null;
  // The state is opened first and closed last. It meets what is opened after it only later.
  const opening: { svid: SvidSource | null; policies: PolicyInForce | null; ledger: Ledger | null } = {
    svid: null,
    policies: null,
    ledger: null,
  };
  const announced = new AnnouncedKeys((problem) => faults.set('keys of the authority', problem));
  const posed =
    config.state.kind === 'authority' ? await socketFolderProblem('state', config.state.addresses, guard) : null;
  if (posed !== null) return { problem: posed };
  const places =
    config.state.kind === 'authority' ? authorityPlaces(config.state.addresses, config, () => opening.svid) : null;
  const shipped =
    places === null || options.isRehearsal === true
      ? null
      : new (await import('./ledger/shipped-records.ts')).ShippedRecords(places, {
          ports,
          faults,
          metrics,
          log: (line) => log(line, 'ledger'),
        });
  const state: State | StartProblem =
    places !== null
      ? (await import('./roles/sidecar.ts')).openSidecar(
          places,
          { ...config.extAuthz, answerMs: config.authority.answerMs },
          {
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
          },
        )
      : config.state.kind === 'postgres'
        ? await waits.until(() =>
            databaseOf(config, {
              ports,
              log,
              faults,
              onFatal: options.onFatal,
              onRecords: () => relay?.(),
              onWrite: stateHealth.written,
              closers,
            }),
          )
        : await openStateFile(statePathOf(config.state), {
            ports,
            log,
            hasSidecars: config.authority.listen.length > 0,
            onFatal: options.onFatal,
            onRecords: () => relay?.(),
            onWrite: stateHealth.written,
            closers,
          });
  if (isStartProblem(state)) return state;
  const { authority, sidecar, stateFile, states } = state;
  const reports = new Reports(
    { authority: state.reporting, states, writeUses: state.sharedUses?.write },
    {
      after,
      log,
      onResult: (kind, result, count) => metrics.sideWrites.of({ kind, result }).inc(count),
    },
  );
  closers.push(() => reports.close());
  metrics.beforeScrape(() => metrics.sideWritesQueued.of({}).set(reports.queued));
  if (state.database !== null) closers.push(await watchTaskCounts(state.database.state.reader, { after, metrics }));
  if (authority !== null) {
    closers.push(await endExpiredTasks(authority, faults));
    closers.push(keepState(authority, { keepSeconds: () => live().endedTasks.keepSeconds, after, log, metrics }));
  }
  closers.push(followClockLead(states, { log: (line) => log(line, 'clock'), metrics }));
  const onUsed = (used: ReadonlyMap<string, number>): void => reports.used(used);
  const opened = await openLedger(config, {
    ...options,
    thread: logThread,
    outbox: stateFile ?? state.database?.outbox ?? null,
    shipped,
    metrics,
    faults,
    onCheckpoint: telemetry.emitCheckpoint,
    onUsed,
    waits,
    closers,
  });
  if (isStartProblem(opened)) return opened;
  // Records of this flush still reach the ledger. `close` writes the rest.
  closers.push(() => reports.flush());
  relay = opened.relay;
  opening.ledger = opened;
  const svid = await openingSvid;
  opening.svid = svid;
  if (sidecar !== null) closers.push(svid?.onChange(() => sidecar.renewed()) ?? (() => undefined));
  const unfit = followOwnSvid(svid, { config, log });
  if (unfit !== null) return { problem: unfit };
  const onRenewed = ({ id, notAfterMs }: Svid): void => {
    const until = new Date(notAfterMs).toISOString();
    log(`svid: \`${id}\` is valid until ${until}`, 'svid-renewed', { id, until });
  };
  closers.push(svid?.onChange(onRenewed) ?? (() => undefined));
  const open = await openPolicies(config, {
    ports,
    metrics,
    log,
    faults,
    guard,
    keyFiles,
    ledger: opened.writer,
    closers,
    ofFolder,
    waits,
    fromAuthority: sidecar && ((etag) => sidecar.bundle.fetch(etag)),
  });
  if (isStartProblem(open)) return open;
  const { policies, trial, bundle, loads: policyLoads } = open;
  opening.policies = policies;
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
    bundle,
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

/** Whether a role cannot start without an SVID: those that show it to clients that connect. */
const needsSvid = ({ authority: { listen }, extAuthz: { callers }, issuer }: Config): boolean =>
  issuer !== null || callers.length > 0 || listen.some(({ kind }) => kind === 'tcp');

async function svidOf(source: SvidSource): Promise<Svid | StartProblem> {
  const own = await firstSvid(source, { withinMs: SVID_LOOK_MS, after });
  return isStartProblem(own) ? { problem: `this process has no SVID: ${own.problem}`, mayPass: true } : own;
}

const databaseOf = async (config: Config, services: DatabaseServices): Promise<State | StartProblem> =>
  config.state.kind === 'postgres'
    ? (await import('./state/database.ts')).openDatabase(config.state.target, config, services)
    : { problem: 'the state is in no database' };

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
