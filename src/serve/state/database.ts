import type { Config } from '../../core/config/config.ts';
import { receiverNames } from '../../core/config/issuer.ts';
import type { PostgresTarget } from '../../core/config/postgres-url.ts';
import { LOST_COMMITS } from '../../core/fleet/fleet-report.ts';
import type { DatabaseReport } from '../../core/fleet/fleet-report.ts';
import { addressText } from '../../core/config/values.ts';
import { Orders } from '../../core/order/orders.ts';
import { unsealedIn, unsealedProblem } from '../../core/order/unsealed.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { repeatedly } from '../../core/runtime/repeatedly.ts';
import { after } from '../../core/runtime/timers.ts';
import { isStoreFailure, storeFailure } from '../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../core/runtime/store-failure.ts';
import { openPostgresState } from '../../authority/state/postgres/postgres-state.ts';
import type { PostgresState } from '../../authority/state/postgres/postgres-state.ts';
import type { Faults } from '../../core/telemetry/faults.ts';
import type { Log } from '../../core/telemetry/log.ts';
import { ProofMemory } from '../../core/token/proof/proof-memory.ts';
import { defaultProofRules } from '../../core/token/proof/proof.ts';
import type { OutboxSource } from '../ledger/state-outbox.ts';
import { isStartProblem } from '../start-problem.ts';
import type { StartProblem } from '../start-problem.ts';
import { stateKeyFrom } from './state-key.ts';
import type { State } from './state.ts';

/** Dependencies of a database. */
export interface DatabaseServices {
  readonly ports: Ports;
  readonly log: Log;
  readonly faults: Faults;
  /** Called when the process must end and start again. */
  readonly onFatal: (detail: string) => void;
  readonly onRecords: () => void;
  readonly onWrite: (failure: StoreFailure | null) => void;
  readonly closers: { push(closer: () => unknown): void };
}

const LOOK_MS = 60_000;
/** A problem is looked at more often, since the authority is not ready until it is over. */
const LOOK_AGAIN_MS = 5_000;
/** Shortest interval at which `GET /fleet` asks the database. */
const REPORT_MS = 1_000;

/** Opens the PostgreSQL of a configuration: the state of one of several authorities, which serve no checks of their own. */
export async function openDatabase(
  target: PostgresTarget,
  { authority, durability, issuer, trustDomains }: Pick<Config, 'authority' | 'durability' | 'issuer' | 'trustDomains'>,
  { ports, log, faults, onFatal, onRecords, onWrite, closers }: DatabaseServices,
): Promise<State | StartProblem> {
  const [listen] = authority.listen;
  const stateKey = authority.stateKey === null ? null : stateKeyFrom(authority.stateKey);
  if (isProblem(stateKey)) return stateKey;
  const state = await openPostgresState({
    target,
    durability,
    clocks: ports,
    randomBytes: ports.randomBytes,
    address: listen === undefined ? '' : addressText(listen),
    stateKey,
    receivers: receiverNames(issuer),
    onForged: (what) =>
      faults.set(
        'rows of the database',
        `${what} is not as an authority wrote it, and counts as not there: somebody else writes the database, or an authority has another \`authority.stateKey\``,
      ),
    onRestored: () => onFatal('the database was restored: the process must start again'),
    onRecords,
    onWrite,
  });
  // Only another build can read the tables of a later schema. Anything else is fixed at the database.
  if (isStoreFailure(state))
    return {
      problem: state.detail,
      mayPass: state.code !== 'later',
      ...(state.code === 'lost' && { cause: LOST_COMMITS }),
    };
  closers.push(() => state.close());
  const watch = await watchDatabase(state, { issuer, trustDomains }, { ports, log, faults, closers });
  if (isStartProblem(watch)) return watch;
  const remembering = { pastSeconds: defaultProofRules.pastSeconds, startedAtMs: state.authority.nowMs() };
  return {
    states: { ...noStates, clocks: () => state.authority.clocks() },
    settling: state.settling,
    authority: state.authority,
    stateFile: null,
    database: { state, outbox: outboxOf(state), ...watch },
    sidecar: null,
    reporting: state.authority,
    sharedUses: null,
    digestOf: state.digestOf,
    proofs: { memoryFor: (_role, onRefused) => new ProofMemory({ ...remembering, onRefused }) },
  };
}

/** An authority on a database serves no checks, so it keeps no task in memory. */
const noStates: Omit<State['states'], 'clocks'> = {
  of: () => noChecks,
  standing: () => noChecks,
  orders: () => NO_ORDERS,
  refuse: () => undefined,
  open: () => null,
  turn: () => undefined,
  turnOver: () => undefined,
};

/** What is known of the database, looked at each minute, and each 5 seconds while it has a problem. */
type DatabaseWatch = Pick<NonNullable<State['database']>, 'problem' | 'lost' | 'report' | 'lastReport'>;

/** Looks at the database until the closers are called. A database of another issuer or trust domain is a problem of the start. */
async function watchDatabase(
  state: PostgresState,
  { issuer, trustDomains }: Pick<Config, 'issuer' | 'trustDomains'>,
  { ports, log, faults, closers }: Pick<DatabaseServices, 'ports' | 'log' | 'faults' | 'closers'>,
): Promise<DatabaseWatch | StartProblem> {
  let problem: string | null = null;
  let lastReport: DatabaseReport | null = null;
  const report = sharedFor(REPORT_MS, ports.monotonicMs, async () => {
    const found = await state.report();
    const lost = state.feed.lost?.detail ?? null;
    const cause = lost !== null ? LOST_COMMITS : problem === null ? null : 'durability';
    lastReport = { ...found, cause, problem: lost ?? problem };
    faults.set('transactions of the database', openProblem(found.transaction_open_s));
    return lastReport;
  });
  let lookedMs = 0;
  const look = async (): Promise<StoreFailure | null> => {
    lookedMs = ports.monotonicMs();
    const other = issuer === null ? null : await state.claim({ issuer: issuer.url, trustDomains });
    const found = other ?? (await state.problems());
    problem = isStoreFailure(found) ? found.detail : found.length === 0 ? null : found.join('; ');
    faults.set('database', problem);
    await report();
    return other;
  };
  const other = await look();
  if (other?.code === 'unusable') return { problem: other.detail };
  const lookAgain = async (): Promise<void> => {
    if (problem !== null || ports.monotonicMs() - lookedMs >= LOOK_MS) await look();
    const orders = await state.orders.inForce();
    if (!isStoreFailure(orders)) faults.set('stops of the database', unsealedProblem(unsealedIn(orders.list)));
  };
  const onFault = (fault: string): void => log(`database: ${fault}`, 'fault');
  closers.push(repeatedly(lookAgain, { everyMs: LOOK_AGAIN_MS, after, onFault }));
  return {
    problem: () => problem,
    lost: () => state.feed.lost?.detail ?? null,
    report,
    lastReport: () => lastReport,
  };
}

/** The records of the database that wait for the ledgers of its authorities. */
const outboxOf = ({ authority, feed, outbox, reader }: PostgresState): OutboxSource => ({
  shared: {
    outboxEnd: () => outbox.end(),
    declareLost: (detail, records) => feed.declareRecordsLost(detail, records),
  },
  authority,
  reader: {
    outbox: (from, limit) => outbox.after(from, limit),
    outboxEnd: () => reader.outboxEnd(),
    recordsOf: (taskId, limit) => reader.recordsOf(taskId, limit),
    fileId: async () => {
      const head = await feed.head();
      return isStoreFailure(head) ? head : head.epoch;
    },
  },
});

/** A transaction that is open for this long is reported: it slows down the beats of all authorities. */
const MAX_OPEN_S = 30;

const openProblem = (seconds: number | null): string | null =>
  seconds === null || seconds < MAX_OPEN_S
    ? null
    : 'a transaction has been open for more than 30 s: commits become slow, and leases may not be renewed. Find it in `pg_stat_activity` and end it';

/** Runs `ask` at most once in an interval; other calls get the same result. `ask` never rejects. */
function sharedFor<T>(everyMs: number, monotonicMs: () => number, ask: () => Promise<T>): () => Promise<T> {
  let last: { readonly atMs: number; readonly answer: Promise<T> } | null = null;
  return () => {
    const nowMs = monotonicMs();
    if (last === null || nowMs - last.atMs >= everyMs) last = { atMs: nowMs, answer: ask() };
    return last.answer;
  };
}

const noChecks = storeFailure('busy', 'this process decides no checks: its state is in a database');
const NO_ORDERS = Orders.none.staleBecause(noChecks);
