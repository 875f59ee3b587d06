import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { unmetGateTexts } from '../admin/readiness.ts';
import type { Gate } from '../admin/readiness.ts';
import type { AuthorityMeasures, ServingAuthority } from '../../authority/feed/start-authority.ts';
import type { AuthorizationServer } from '../../sidecar/envoy/server.ts';
import type { DatabaseReport } from '../../core/fleet/fleet-report.ts';
import type { Fate } from '../../core/ledger/use-fates.ts';
import type { FindingKind } from '../../sidecar/outcome/finding-budget.ts';
import type { OutcomeClass } from '../../core/ledger/outcome-class.ts';
import type { OutcomeObserver } from '../../sidecar/outcome/outcomes.ts';
import type { ObserveEntry } from '../../core/policy/enforcement.ts';
import type { LoadPolicySet } from '../../core/policy/policy-in-force.ts';
import type { PolicySet } from '../../core/policy/loading/load.ts';
import { STOP_KINDS } from '../../core/order/order.ts';
import type { Orders } from '../../core/order/orders.ts';
import { unsealedIn } from '../../core/order/unsealed.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import type { SidecarState } from '../../sidecar/state/sidecar-state.ts';
import { isDeny } from '../../core/decision/decision.ts';
import type { LimitPeak } from '../../core/state/limit-use.ts';
import type { StoreReader } from '../../core/state/store-reader.ts';
import type { CounterSeries } from '../../core/telemetry/metrics/counter.ts';
import type { Metrics } from '../../core/telemetry/metrics/metrics.ts';
import type { KeyRing } from '../../core/token/jose/keys.ts';
import type { Parts } from '../parts.ts';
import { setTaskCounts } from './task-counts.ts';

interface Measuring {
  readonly metrics: Metrics;
  readonly ports: Pick<Ports, 'monotonicMs' | 'nowMs'>;
}

/**
 * Wraps a load of policies to export the set it loaded and the age of that set, and to count loads that failed and left the old set in
 * force.
 */
export function countedLoad(load: LoadPolicySet, { metrics, ports }: Measuring): LoadPolicySet {
  let loadedAtMs: number | null = null;
  let set: PolicySet | null = null;
  let ending: readonly EndingPermit[] = [];
  metrics.beforeScrape(() => {
    if (set !== null) measurePolicySet(metrics, set);
    measureObserved(metrics, set?.observed ?? [], ports.nowMs());
    measurePermits(metrics, ending, ports.nowMs());
    if (loadedAtMs !== null) metrics.policyAge.of({}).set((ports.monotonicMs() - loadedAtMs) / 1000);
  });
  return async () => {
    const loaded = await load();
    if ('findings' in loaded) {
      metrics.policyLoadFailures.of({}).inc();
      return loaded;
    }
    loadedAtMs = ports.monotonicMs();
    set = loaded;
    ending = endingPermits(loaded);
    metrics.policyInfo.clear();
    metrics.policyInfo.of({ hash: loaded.hash }).set(1);
    return loaded;
  };
}

function measurePolicySet(metrics: Metrics, set: PolicySet): void {
  const { slices, parsed, cached } = set.sizes();
  metrics.policySlices.of({ state: 'known' }).set(slices);
  metrics.policySlices.of({ state: 'parsed' }).set(parsed.slices);
  metrics.policiesParsed.of({}).set(parsed.policies);
  metrics.cacheEntries.of({ cache: 'allow' }).set(cached.allows);
  metrics.cacheEntries.of({ cache: 'deny' }).set(cached.denials);
}

function measureObserved(
  { observeEntries, observeUntil }: Metrics,
  entries: readonly ObserveEntry[],
  nowMs: number,
): void {
  const open = entries.filter(({ untilMs }) => nowMs < untilMs);
  observeEntries.of({}).set(open.length);
  observeUntil.clear();
  for (const { id, untilMs } of open) observeUntil.of({ entry: id }).set(untilMs / 1_000);
}

/** A permit with its end, in milliseconds since the Unix epoch. */
interface EndingPermit {
  readonly id: string;
  readonly untilMs: number;
}

/** The enforced permits of a set that have an end, the first to end first. */
const endingPermits = ({ policies }: PolicySet): readonly EndingPermit[] =>
  policies
    .flatMap(({ id, shadow, untilMs }) => (shadow || untilMs === undefined ? [] : [{ id, untilMs }]))
    .toSorted((one, other) => one.untilMs - other.untilMs);

/** Most permits whose end is shown: each is a series. */
const MAX_ENDING = 100;

function measurePermits({ permitUntil }: Metrics, ending: readonly EndingPermit[], nowMs: number): void {
  permitUntil.clear();
  const open = ending.filter(({ untilMs }) => nowMs < untilMs).slice(0, MAX_ENDING);
  for (const { id, untilMs } of open) permitUntil.of({ policy: id }).set(untilMs / 1_000);
}

/** Counts outcomes of calls and findings. */
export function countedOutcomes(metrics: Metrics): OutcomeObserver {
  const findings: Readonly<Record<FindingKind, CounterSeries>> = {
    bypass: metrics.bypasses.of({}),
    'failure-mode-allowed': metrics.failureModeAllowed.of({}),
    'denied-but-served': metrics.deniedServed.of({}),
    'outcome-missing': metrics.outcomesMissing.of({}),
    'access-log-lost': metrics.accessLogsLost.of({}),
  };
  const outcomes: Readonly<Record<OutcomeClass, CounterSeries>> = {
    success: metrics.outcomes.of({ class: 'success' }),
    'client-error': metrics.outcomes.of({ class: 'client-error' }),
    'server-error': metrics.outcomes.of({ class: 'server-error' }),
    denied: metrics.outcomes.of({ class: 'denied' }),
    unanswered: metrics.outcomes.of({ class: 'unanswered' }),
    unasked: metrics.outcomes.of({ class: 'unasked' }),
  };
  const fates: Readonly<Record<Fate, CounterSeries>> = {
    executed: metrics.allowedCalls.of({ fate: 'executed' }),
    unanswered: metrics.allowedCalls.of({ fate: 'unanswered' }),
    'not-sent': metrics.allowedCalls.of({ fate: 'not-sent' }),
  };
  return {
    onOutcome: (outcome) => outcomes[outcome].inc(),
    onFate: (fate) => fates[fate].inc(),
    onFinding: (kind) => findings[kind].inc(),
  };
}

/** The roles that are measured. */
interface Roles {
  readonly authority: Pick<ServingAuthority, 'measures'> | null;
  readonly checks: Pick<AuthorizationServer, 'inFlight'>;
  readonly gates: readonly Gate[];
  readonly keys: Pick<KeyRing, 'agesMs'>;
}

/** Reads gauges before each scrape. */
export function measureRoles(
  { config, database, ledger, metrics, sidecar, stateFile, states, svid }: Parts,
  { authority, checks, gates, keys }: Roles,
): void {
  metrics.beforeScrape(() => {
    metrics.checksInFlight.of({}).set(checks.inFlight);
    metrics.ledgerQueued.of({}).set(ledger.writer.queued);
    for (const gate of gates)
      metrics.dependencyUp.of({ name: gate.name }).set(unmetGateTexts([gate]).length === 0 ? 1 : 0);
    metrics.keysAge.clear();
    for (const [issuer, ageMs] of keys.agesMs()) metrics.keysAge.of({ issuer }).set(ageMs / 1000);
    metrics.svidExpiry.clear();
    metrics.svidLifetime.clear();
    metrics.svidRefused.clear();
    const refusal = svid?.refusal() ?? null;
    if (refusal !== null) metrics.svidRefused.of({ cause: refusal.cause }).set(1);
    const current = svid?.current() ?? null;
    if (current !== null) {
      metrics.svidExpiry.of({}).set(current.notAfterMs / 1000);
      metrics.svidLifetime.of({}).set((current.notAfterMs - current.notBeforeMs) / 1000);
    }
    // An authority on a PostgreSQL decides no checks.
    measureStops(metrics, database?.state.orders.last ?? states.orders());
    if (stateFile !== null) measureState(metrics, stateFile.reader);
    if (sidecar !== null) measureSidecar(metrics, sidecar);
    if (authority !== null) measureAuthority(metrics, authority.measures());
    if (database !== null) measureDatabase(metrics, database.lastReport());
    measureDisks(metrics, config);
  });
}

/** Sets how far limits over all tasks are used: those of the policies in force, since a sidecar may send any name. */
export function setLimitPeaks(
  { metrics: { limitUsed }, policies }: Pick<Parts, 'metrics' | 'policies'>,
  peaks: readonly LimitPeak[],
): void {
  const set = policies.get();
  const known = new Set(isDeny(set) ? [] : set.limits.map(({ id }) => id));
  limitUsed.clear();
  for (const { limit, measure, ratio } of peaks) if (known.has(limit)) limitUsed.of({ limit, measure }).set(ratio);
}

/** Sets how many stops are in force, and how many of them no authority wrote. */
export function measureStops(
  { stops, stopsUnsealed }: Pick<Metrics, 'stops' | 'stopsUnsealed'>,
  { list }: Pick<Orders, 'list'>,
): void {
  stopsUnsealed.of({}).set(unsealedIn(list).length);
  stops.clear();
  for (const kind of STOP_KINDS) {
    stops.of({ kind }).set(list.filter((order) => order.of === 'stop' && order.kind === kind).length);
  }
}

function measureDisks({ diskFree }: Metrics, { state, ledger }: Parts['config']): void {
  const stateFolder = state.kind === 'sqlite' ? [['state', dirname(state.path)] as const] : [];
  for (const [of, path] of [...stateFolder, ['ledger', ledger.folder] as const]) {
    const free = freeBytes(path);
    if (free !== null) diskFree.of({ of }).set(free);
  }
}

function measureSidecar(metrics: Metrics, sidecar: SidecarState): void {
  const { cards, leaseLeftMs, position, isFollowing } = sidecar.measures();
  metrics.sidecarCards.of({}).set(cards);
  metrics.sidecarLease.of({}).set(leaseLeftMs / 1000);
  metrics.sidecarPosition.of({}).set(position);
  metrics.sidecarFollowing.of({}).set(isFollowing ? 1 : 0);
}

function measureAuthority(metrics: Metrics, { behind, commitAgeMs, position, sidecars }: AuthorityMeasures): void {
  metrics.authoritySidecars.of({}).set(sidecars);
  metrics.authorityPosition.of({}).set(position);
  metrics.authorityBehind.of({}).set(behind);
  if (commitAgeMs !== null) metrics.authorityCommitAge.of({}).set(commitAgeMs / 1_000);
}

function measureDatabase(metrics: Metrics, report: DatabaseReport | null): void {
  metrics.databaseTimeline.clear();
  metrics.databaseStandbys.clear();
  if (report === null) return;
  metrics.databaseTransaction.of({}).set(report.transaction_open_s ?? 0);
  if (report.records_wait_s !== null) metrics.recordsWaiting.of({}).set(report.records_wait_s);
  const timelines = report.hosts.flatMap(({ role, timeline }) => (role === 'primary' ? [timeline ?? 0] : []));
  if (timelines.length > 0) metrics.databaseTimeline.of({}).set(Math.max(...timelines));
  if (report.standbys === null) return;
  const waitedFor = report.standbys.filter(({ sync }) => sync === 'sync' || sync === 'quorum').length;
  metrics.databaseStandbys.of({ commits: 'wait' }).set(waitedFor);
  metrics.databaseStandbys.of({ commits: 'go-on' }).set(report.standbys.length - waitedFor);
}

function measureState(metrics: Metrics, reader: Pick<StoreReader, 'taskCounts' | 'size'>): void {
  setTaskCounts(metrics, reader.taskCounts());
  metrics.stateBytes.clear();
  metrics.stateFree.clear();
  const size = reader.size();
  if (isStoreFailure(size)) return;
  metrics.stateBytes.of({}).set(size.bytes);
  metrics.stateFree.of({}).set(size.freeBytes);
}

/** Bytes on the disk under a path that an ordinary user may still write; `null` if they cannot be read. */
function freeBytes(path: string): number | null {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  } catch {
    return null;
  }
}
