import type { Config } from '../core/config/config.ts';
import type { LiveSettings } from '../core/config/live-config.ts';
import { writablePathProblem } from '../core/config/writable-path.ts';
import type { PathGuard } from '../core/config/writable-path.ts';
import { Faults } from '../core/telemetry/faults.ts';
import { newMetrics } from '../core/telemetry/metrics/metrics.ts';
import type { Metrics } from '../core/telemetry/metrics/metrics.ts';
import { measureProcess } from '../core/telemetry/metrics/process-usage.ts';
import { startTelemetry } from '../core/telemetry/start-telemetry.ts';
import type { Telemetry } from '../core/telemetry/telemetry.ts';
import { AnnouncedKeys } from './keys/announced-keys.ts';
import { CheckActivity } from './roles/check-activity.ts';
import type { Closers } from './closers.ts';
import { KeyFiles } from './keys/key-files.ts';
import { LogThread } from '../core/ledger/log/log-thread.ts';
import type { LoadingLogThread } from '../core/ledger/log/log-thread.ts';
import { openLedger } from './ledger/ledger.ts';
import { otelEnvironmentProblems } from './otel-environment.ts';
import type { Parts } from './parts.ts';
import { beginFolder, openPolicies } from './roles/policies.ts';
import { StateHealth } from './state/state-health.ts';
import type { State } from './state/state.ts';
import { isStartProblem } from './start-problem.ts';
import type { StartProblem } from './start-problem.ts';
import type { RemitOptions } from './remit-options.ts';
import { beforeMigration } from './state/before-migration.ts';
import type { Waits } from './waits.ts';
import { followState } from './follow-state.ts';
import { openState } from './open-state.ts';
import { endedIn } from '../core/state/share-users.ts';
import { Shares } from '../core/state/shares.ts';
import { after } from '../core/runtime/timers.ts';
import type { LaterParts } from './open-state.ts';
import { awaitNeededSvid, beginSvid, followSvid } from './open-svid.ts';

/** Opens the parts that the roles share: traces, state, ledger, SVID and policies. The code of each kind of state is loaded only if used. */
export async function openParts(
  config: Config,
  options: RemitOptions,
  { waits, closers }: { readonly waits: Waits; readonly closers: Closers },
): Promise<Parts | StartProblem> {
  const { ports, log, guard = writablePathProblem, live = () => config } = options;
  const metrics = newMetrics();
  const faults = new Faults(log);
  const common = { ports, log, faults, metrics, guard };
  const opening = { ...common, waits, closers };
  const keyFiles = new KeyFiles({ guard, faults, log });
  const ofFolder = beginFolder(config.policies, guard);
  // The thread loads its program meanwhile.
  const logThread = LogThread.start();
  closers.push(() => logThread.end());
  const stateHealth = new StateHealth(metrics);
  closers.push(measureProcess(metrics));
  const telemetry = await openTelemetry(options, metrics, closers);
  if (isStartProblem(telemetry)) return telemetry;
  const openingSvid = beginSvid(config, { ...opening, noSvid: options.noSvid });
  const missing = await awaitNeededSvid(openingSvid, config, { waits, stop: options.stop });
  if (missing !== null) return missing;
  const later: LaterParts = { svid: null, policies: null, ledger: null };
  const kept = await openStateAndLedger(config, {
    ...options,
    ...opening,
    live,
    logThread,
    stateHealth,
    telemetry,
    later,
  });
  if (isStartProblem(kept)) return kept;
  const { state, announced, reports, ledger, shares } = kept;
  const { sidecar } = state;
  const svid = await openingSvid;
  later.svid = svid;
  const unfit = followSvid(svid, { config, log, sidecar, closers });
  if (unfit !== null) return unfit;
  const fromAuthority = sidecar && ((etag: string | null) => sidecar.bundle.fetch(etag));
  const open = await openPolicies(config, { ...opening, keyFiles, ledger: ledger.writer, ofFolder, fromAuthority });
  if (isStartProblem(open)) return open;
  later.policies = open.policies;
  return {
    config,
    ...common,
    ...state,
    shares,
    stateHealth,
    announced,
    reports,
    ledger,
    ...open,
    svid,
    telemetry,
    checkActivity: new CheckActivity(ports.monotonicMs),
    decisionStream: options.stdout ?? null,
    keyFiles,
    live,
  };
}

/** What the state and the ledger are opened with. */
interface OpeningRecords extends RemitOptions {
  readonly live: () => LiveSettings;
  readonly metrics: Metrics;
  readonly faults: Faults;
  readonly guard: PathGuard;
  readonly waits: Waits;
  readonly closers: Closers;
  readonly logThread: LoadingLogThread;
  readonly stateHealth: StateHealth;
  readonly telemetry: Telemetry;
  readonly later: LaterParts;
}

/** Opens the state, which is closed last, and the ledger, to which the records of the state are relayed. */
async function openStateAndLedger(
  config: Config,
  opening: OpeningRecords,
): Promise<(Pick<Parts, 'announced' | 'reports' | 'ledger' | 'shares'> & { readonly state: State }) | StartProblem> {
  const { faults, waits, closers, stateHealth, telemetry, logThread, later } = opening;
  const outdated = await beforeMigration(config, { rehearse: opening.rehearse, waits });
  if (outdated !== null) return outdated;
  let relay: (() => void) | null = null;
  let onEnded: (() => void) | null = null;
  const announced = new AnnouncedKeys((problem) => faults.set('keys of the authority', problem));
  const opened = await openState(config, {
    ...opening,
    onRecords: () => relay?.(),
    onWrite: stateHealth.written,
    onKeys: (issuer, jwks) => announced.take(issuer, jwks),
    onEnded: () => onEnded?.(),
    isRehearsal: opening.isRehearsal === true,
  });
  if (isStartProblem(opened)) return opened;
  const { state, shipped } = opened;
  const reports = await followState(state, opening);
  const ledger = await openLedger(config, {
    ...opening,
    thread: logThread,
    outbox: state.stateFile ?? state.database?.outbox ?? null,
    shipped,
    onCheckpoint: telemetry.emitCheckpoint,
    onUsed: (used) => reports.used(used),
  });
  if (isStartProblem(ledger)) return ledger;
  const { states, settling } = state;
  const shares = new Shares(settling, {
    ports: opening.ports,
    clocks: () => states.clocks(),
    after,
    hasEnded: endedIn(states),
  });
  closers.push(() => shares.close());
  onEnded = () => shares.ended();
  if (state.sidecar !== null) state.sidecar.onOtherLife = () => shares.forget();
  // Records of this flush still reach the ledger. `close` writes the rest.
  closers.push(() => reports.flush());
  relay = ledger.relay;
  later.ledger = ledger;
  return { state: { ...state, settling: shares }, announced, reports, ledger, shares };
}

async function openTelemetry(
  { environment, ports, log }: RemitOptions,
  { spansDropped, spansTaken }: Metrics,
  closers: Closers,
): Promise<Telemetry | StartProblem> {
  const unfollowed = otelEnvironmentProblems(environment);
  if (unfollowed.length > 0) return { problem: unfollowed.join('\n') };
  const telemetry = await startTelemetry(environment, {
    ports,
    log: (line) => log(line, 'telemetry'),
    onDropped: (queue, count) => spansDropped.of({ queue }).inc(count),
    onTried: (isTaken) => spansTaken.of({}).set(isTaken ? 1 : 0),
  });
  closers.push(() => telemetry.close());
  return telemetry;
}
