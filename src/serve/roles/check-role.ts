import type { TraceSource } from '../admin/trace-answer.ts';
import { shownText } from '../../core/action/secrets/static-secret.ts';
import { AskingCalls } from '../../sidecar/check/asking-calls.ts';
import { checksWith } from '../../sidecar/check/check.ts';
import { LoopWatch } from '../../sidecar/check/loop-watch.ts';
import { traceFilterFrom } from '../../sidecar/check/trace/trace-filter.ts';
import { TraceWaits } from '../../sidecar/check/trace/trace-waits.ts';
import type { Config } from '../../core/config/config.ts';
import { addressText } from '../../core/config/values.ts';
import { UUID_RANDOM_BYTES, uuidV7 } from '../../core/decision/uuid.ts';
import { askingAgentIn } from '../../sidecar/envoy/check/asking-agent.ts';
import { authorizationHandler, refusalsFrom } from '../../sidecar/envoy/authorization.ts';
import type { ResponseOptions } from '../../sidecar/envoy/check/response.ts';
import { AuthorizationServer } from '../../sidecar/envoy/server.ts';
import type { ExtAuthzServerOptions } from '../../sidecar/envoy/server-options.ts';
import { Outcomes } from '../../sidecar/outcome/outcomes.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { messageOfFault } from '../../core/runtime/repeatedly.ts';
import { after } from '../../core/runtime/timers.ts';
import { TokenUses } from '../../core/token/uses.ts';
import type { Closers } from '../closers.ts';
import { admission, checkServicesOf, sharingOf } from './check-services.ts';
import type { CheckKeys } from './check-services.ts';
import { countedOutcomes } from './measures.ts';
import { networkOf } from './network.ts';
import { isStartProblem } from '../start-problem.ts';
import type { Parts } from '../parts.ts';
import { proofNoncesFor } from '../keys/proof-nonces.ts';
import { RefusedChecks } from './refused-checks.ts';
import { LoggedRefusals } from './logged-refusals.ts';
import { socketAccessOf } from '../socket-access.ts';
import type { StartProblem } from '../start-problem.ts';

/** The ext_authz server, listening. */
export interface CheckRole {
  readonly server: AuthorizationServer;
  /** The addresses it listens on. */
  readonly bound: readonly string[];
  /** The source of its traced checks. */
  readonly traces: TraceSource;
}

const MAX_TOKENS_COUNTED = 100_000;
const CLOSE_GRACE_MS = 5000;

/**
 * Starts the ext_authz server. Its health is "not serving" at first. Closing it lets checks in progress finish, and closes every address.
 */
export async function startChecks(
  parts: Parts,
  { keys, transactionToken, verified, closers }: CheckKeys & { readonly closers: Pick<Closers, 'push'> },
): Promise<CheckRole | StartProblem> {
  const { config, ports, log } = parts;
  const nonces = proofNoncesFor(config, ports);
  const response = { ...responseOptions(config), ...(nonces && { proofNonce: () => nonces.current() }) };
  const onFault = (error: unknown): void => log(`a check failed: ${messageOfFault(error)}`, 'check-failed');
  const shown = (text: string): string => shownText(text, (secret) => parts.digestOf(secret));
  const refused = new RefusedChecks({ ledger: parts.ledger.writer, nowMs: ports.nowMs, after });
  closers.push(() => refused.close());
  const logged = new LoggedRefusals({ log: (line) => log(line, 'check-failed'), after });
  closers.push(() => logged.close());
  const outcomes = openOutcomes(parts, shown);
  closers.push(() => outcomes.close());
  const traces = new TraceWaits(shown, onFault);
  const refuse = refusalsFrom({
    response,
    newDecisionId: () => newDecisionId(ports),
    onRefusal: onRefusal(parts, { refused, logged, outcomes, traces }),
  });
  const { admit, ...admitting } = admission(parts, refused);
  const uses = new TokenUses(MAX_TOKENS_COUNTED);
  const sharing = sharingOf(parts, uses);
  closers.push(() => sharing?.close());
  const services = checkServicesOf(parts, { keys, nonces, transactionToken, verified });
  parts.metrics.beforeScrape(() =>
    parts.metrics.observeEmergencies.of({}).set(parts.states.orders().observing(parts.states.clocks()).length),
  );
  const loop = loopWatch(parts);
  const asking = new AskingCalls();
  const checks = checksWith({ ...services, ...admitting, outcomes, uses, asking, sharing, traces, loop });
  const network = await networkOf(parts);
  if (isStartProblem(network)) return network;
  const { certificateFrom, identity, maxBodyBytes: partialBodyBytes } = config.extAuthz;
  const rules = { partialBodyBytes, certificateFrom };
  const agentIn = (message: Uint8Array): string => askingAgentIn(message, identity);
  const server = new AuthorizationServer(
    authorizationHandler(checks, { rules, response, refuse, onFault, agentIn, monotonicMs: ports.monotonicMs }),
    {
      ...transportOptions(parts),
      refuse,
      onFault,
      admit,
      ...(network && { network }),
      accessLog: {
        ledger: response.ledger ?? null,
        opened: (name) => outcomes.opened(name),
        served: (call) => outcomes.served(call),
      },
    },
  );
  closers.push(() => server.close(CLOSE_GRACE_MS));
  const bound = await listenAsConfigured(server, config);
  return isStartProblem(bound) ? bound : { server, bound, traces: traceSource(traces) };
}

const newDecisionId = ({ nowMs, randomBytes }: Parts['ports']): string =>
  uuidV7(nowMs(), randomBytes(UUID_RANDOM_BYTES));

const openOutcomes = ({ config, ports, log, metrics, ledger }: Parts, shown: (text: string) => string): Outcomes =>
  new Outcomes(
    {
      ledger: ledger.writer,
      ports,
      after,
      newDecisionId: () => newDecisionId(ports),
      log,
      observer: countedOutcomes(metrics),
      shown,
    },
    config.outcomes,
  );

/** Counts, records, logs and traces a call that was denied without a check. */
const onRefusal =
  (
    { metrics, ports }: Parts,
    {
      refused,
      logged,
      outcomes,
      traces,
    }: {
      readonly refused: RefusedChecks;
      readonly logged: LoggedRefusals;
      readonly outcomes: Outcomes;
      readonly traces: TraceWaits;
    },
  ): NonNullable<Parameters<typeof refusalsFrom>[0]['onRefusal']> =>
  (cause, reason, { decisionId, isUnderWay }) => {
    if (traces.isAwaited) traces.refused({ cause, reason, decisionId, atMs: ports.nowMs() });
    metrics.serverRefusals.of({ cause }).inc();
    if (!isUnderWay) refused.add(cause);
    logged.add(cause, decisionId);
    outcomes.answered({ decisionId, taskId: null, agent: null, action: null, decision: { kind: 'deny' } });
  };

/** Transport options of the server: bounds, turns, and what it does if its socket is removed. */
const transportOptions = ({
  config,
  ports: { monotonicMs },
  log,
  metrics,
  states,
  checkActivity,
}: Parts): Pick<ExtAuthzServerOptions, 'onRebound' | 'turn' | 'monotonicMs' | 'maxInFlight'> => ({
  onRebound: (address, times) => {
    metrics.socketRebinds.of({}).inc();
    const who = 'who can write its folder can do this: let Remit alone write there';
    log(
      `the socket \`${address}\` was removed, and is bound anew for the \`${times}\`. time: ${who}`,
      'socket-rebound',
      {
        address,
        times,
      },
    );
  },
  turn: {
    begins: () => {
      checkActivity.note();
      states.turn();
    },
    over: () => states.turnOver(),
  },
  monotonicMs,
  maxInFlight: config.extAuthz.checksInFlight,
});

async function listenAsConfigured(
  server: AuthorizationServer,
  { extAuthz }: Config,
): Promise<readonly string[] | StartProblem> {
  const access = await socketAccessOf('extAuthz', extAuthz);
  if (isStartProblem(access)) return access;
  return server.listen(extAuthz.listen.map(addressText), { ...access, takesOver: extAuthz.socketTakeOver });
}

/** Counts and logs what a single check held the event loop for. */
function loopWatch({ log, metrics, ports: { monotonicMs } }: Parts): LoopWatch {
  const watch = new LoopWatch({
    monotonicMs,
    onLong: (stage) => metrics.checkLongTurns.of({ stage }).inc(),
    tell: ({ stage, tookMs, decisionId, suppressed }) => {
      const ms = Math.round(tookMs);
      const what = `one check held the event loop for \`${ms}\` ms, and all others waited: stage \`${stage}\``;
      log(what, 'long-turn', { stage, ms, decisionId, suppressed });
    },
  });
  metrics.beforeScrape(() => metrics.checkLongestTurn.of({}).set(watch.longestMs / 1_000));
  return watch;
}

/** Subscribes to checks by the filters of a query. */
const traceSource = (traces: TraceWaits): TraceSource => ({
  begin: (filters, onLine) => {
    const filter = traceFilterFrom(filters);
    return isProblem(filter) ? filter : traces.begin({ filter, onLine });
  },
});

/** An answer names its ledger if other processes may serve the same proxy: at a sidecar, and at an authority. */
function responseOptions({ extAuthz: { helpUrl, allowMetadata }, ledger, state, authority }: Config): ResponseOptions {
  const options = { helpUrl, allowMetadata };
  return state.kind === 'authority' || authority.listen.length > 0 ? { ...options, ledger: ledger.name } : options;
}
