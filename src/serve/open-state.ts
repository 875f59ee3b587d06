import { statePathOf } from '../core/config/state.ts';
import type { Config } from '../core/config/config.ts';
import type { PathGuard } from '../core/config/writable-path.ts';
import type { SvidSource } from '../core/identity/svid.ts';
import type { PolicyInForce } from '../core/policy/policy-in-force.ts';
import type { Ports } from '../core/runtime/ports.ts';
import type { Faults } from '../core/telemetry/faults.ts';
import type { Log } from '../core/telemetry/log.ts';
import type { Metrics } from '../core/telemetry/metrics/metrics.ts';
import type { Closers } from './closers.ts';
import type { Ledger } from './ledger/ledger.ts';
import type { ShippedRecords } from './ledger/shipped-records.ts';
import { authorityPlaces } from './roles/authority-places.ts';
import { socketFolderProblem } from './socket-access.ts';
import { isStartProblem } from './start-problem.ts';
import type { StartProblem } from './start-problem.ts';
import type { Waits } from './waits.ts';
import { openStateFile } from './state/state.ts';
import type { State } from './state/state.ts';

/** What is opened after the state, which is opened first and closed last. Each is `null` until it is open. */
export interface LaterParts {
  svid: SvidSource | null;
  policies: PolicyInForce | null;
  ledger: Ledger | null;
}

/** Dependencies of the state, whichever kind it is. */
interface OpenStateServices {
  readonly ports: Ports;
  readonly log: Log;
  readonly faults: Faults;
  readonly metrics: Metrics;
  readonly guard: PathGuard;
  /** Called when the process must end and start again. */
  readonly onFatal: (detail: string) => void;
  /** Called when the state has records for the ledger. */
  readonly onRecords: () => void;
  readonly onWrite: Parameters<typeof openStateFile>[1]['onWrite'];
  /** Called once this process may know of the end of a task. */
  readonly onEnded: () => void;
  /** Receives the keys of tokens from an authority when they change. */
  readonly onKeys: (issuer: string, jwks: unknown) => void;
  /** Whether no record is sent to an authority, since nothing may be left elsewhere. */
  readonly isRehearsal: boolean;
  readonly later: LaterParts;
  readonly waits: Waits;
  readonly closers: Closers;
}

/** The state, and at a sidecar the destination of its records. */
export interface StartedState {
  readonly state: State;
  readonly shipped: ShippedRecords | null;
}

/** Opens the state by its kind: that of a sidecar, a PostgreSQL or a file. Each kind is loaded only if it is used. */
export async function openState(config: Config, services: OpenStateServices): Promise<StartedState | StartProblem> {
  if (config.state.kind === 'authority') return openAtAuthority(config, config.state.addresses, services);
  const state = config.state.kind === 'postgres' ? await inDatabase(config, services) : await inFile(config, services);
  return isStartProblem(state) ? state : { state, shipped: null };
}

/** The state of a sidecar, which follows one of the authorities at these addresses. */
async function openAtAuthority(
  config: Config,
  addresses: Extract<Config['state'], { readonly kind: 'authority' }>['addresses'],
  { ports, log, faults, metrics, guard, onKeys, onEnded, isRehearsal, later, closers }: OpenStateServices,
): Promise<StartedState | StartProblem> {
  const problem = await socketFolderProblem('state', addresses, guard);
  if (problem !== null) return { problem };
  const places = authorityPlaces(addresses, config, () => later.svid);
  const recordLog = (line: string): void => log(line, 'ledger');
  const shipped = isRehearsal
    ? null
    : new (await import('./ledger/shipped-records.ts')).ShippedRecords(places, {
        ports,
        faults,
        metrics,
        log: recordLog,
      });
  const { openSidecar } = await import('./roles/sidecar.ts');
  const ofAuthority = { ...config.extAuthz, answerMs: config.authority.answerMs };
  const state = openSidecar(places, ofAuthority, {
    ports,
    faults,
    metrics,
    policies: () => later.policies?.get() ?? null,
    ledger: () =>
      later.ledger && {
        problem: later.ledger.writer.problem,
        unacknowledged: later.ledger.writer.queued + (shipped?.unacknowledged ?? 0),
      },
    onKeys,
    onEnded,
    closers,
  });
  return { state, shipped };
}

/** The state in a PostgreSQL, once that can be used. */
const inDatabase = (
  config: Config,
  { ports, log, faults, onFatal, onRecords, onWrite, waits, closers }: OpenStateServices,
): Promise<State | StartProblem> =>
  waits.until(async () =>
    config.state.kind === 'postgres'
      ? (await import('./state/database.ts')).openDatabase(config.state.target, config, {
          ports,
          log,
          faults,
          onFatal,
          onRecords,
          onWrite,
          closers,
        })
      : { problem: 'the state is in no database' },
  );

const inFile = (
  { state, authority }: Config,
  { ports, log, onFatal, onRecords, onWrite, onEnded, closers }: OpenStateServices,
): Promise<State | StartProblem> =>
  openStateFile(statePathOf(state), {
    ports,
    log,
    hasSidecars: authority.listen.length > 0,
    onFatal,
    onRecords,
    onWrite,
    onEnded,
    closers,
  });
