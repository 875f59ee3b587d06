import type { TraceSource } from '../admin/trace-answer.ts';
import { shownText } from '../../core/action/secrets/static-secret.ts';
import { AskingCalls } from '../../sidecar/check/asking-calls.ts';
import { checksWith } from '../../sidecar/check/check.ts';
import { LoopWatch } from '../../sidecar/check/loop-watch.ts';
import type { CheckServices } from '../../sidecar/check/services.ts';
import { traceFilterFrom } from '../../sidecar/check/trace/trace-filter.ts';
import { TraceWaits } from '../../sidecar/check/trace/trace-waits.ts';
import type { Config } from '../../core/config/config.ts';
import { addressText } from '../../core/config/values.ts';
import { isDeny } from '../../core/decision/decision.ts';
import { UUID_RANDOM_BYTES, uuidV7 } from '../../core/decision/uuid.ts';
import { AgentRate } from '../../core/runtime/collections/agent-rate.ts';
import { askingAgentIn, carriesProof } from '../../sidecar/envoy/check/asking-agent.ts';
import { authorizationHandler, refusalsFrom } from '../../sidecar/envoy/authorization.ts';
import type { ResponseOptions } from '../../sidecar/envoy/check/response.ts';
import { AuthorizationServer } from '../../sidecar/envoy/server.ts';
import { leafCache } from '../../core/identity/leaf-certificate.ts';
import { Outcomes } from '../../sidecar/outcome/outcomes.ts';
import { resourceMetadataUrl } from '../../authority/issuer/resource-metadata.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { messageOfFault } from '../../core/runtime/repeatedly.ts';
import { checkMetrics } from '../../core/telemetry/metrics/check-metrics.ts';
import { decisionLog } from '../../core/telemetry/decision-log.ts';
import { after } from '../../core/runtime/timers.ts';
import type { KeyRing } from '../../core/token/jose/keys.ts';
import type { ProofNonces } from '../../core/token/proof/proof-nonce.ts';
import { defaultProofRules } from '../../core/token/proof/proof.ts';
import type { TransactionTokenSigner } from '../../core/token/transaction-token-signer.ts';
import { TokenCache } from '../../core/token/token-cache.ts';
import { UseSharing } from '../../core/state/use-sharing.ts';
import { TokenUses } from '../../core/token/uses.ts';
import type { Closers } from '../closers.ts';
import { countedOutcomes } from './measures.ts';
import { networkOf } from './network.ts';
import { foreignCallers } from '../foreign-callers.ts';
import { formerCertificates } from '../keys/former-certificates.ts';
import { missingCertificates } from '../keys/missing-certificates.ts';
import { isStartProblem } from '../start-problem.ts';
import type { Parts } from '../parts.ts';
import { proofNoncesFor } from '../keys/proof-nonces.ts';
import { RefusedChecks } from './refused-checks.ts';
import { ToldRefusals } from './told-refusals.ts';
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
const TOKENS_CACHED = { tokens: 16_384, signatures: 32_768 };
const MAX_LEAVES_CACHED = 1024;
const MAX_TOKEN_BYTES = 8192;
const CLOSE_GRACE_MS = 5000;

/** The keys that verify tokens, and the signer of transaction tokens. */
interface CheckKeys {
  readonly keys: KeyRing;
  readonly transactionToken: TransactionTokenSigner | null;
}

/**
 * Starts the ext_authz server. Its health is "not serving" at first. Closing it lets checks in progress finish, and closes every address.
 */
export async function startChecks(
  parts: Parts,
  { keys, transactionToken, closers }: CheckKeys & { readonly closers: Pick<Closers, 'push'> },
): Promise<CheckRole | StartProblem> {
  const { config, ports, log, metrics } = parts;
  const nonces = proofNoncesFor(config, ports);
  const response = { ...responseOptions(config), ...(nonces && { proofNonce: () => nonces.current() }) };
  const onFault = (error: unknown): void => log(`a check failed: ${messageOfFault(error)}`, 'check-failed');
  const observer = countedOutcomes(metrics);
  const refused = new RefusedChecks({ ledger: parts.ledger.writer, nowMs: ports.nowMs, after });
  closers.push(() => refused.close());
  const toldRefusals = new ToldRefusals({ log: (line) => log(line, 'check-failed'), after });
  closers.push(() => toldRefusals.close());
  const shown = (text: string): string => shownText(text, (secret) => parts.digestOf(secret));
  const newDecisionId = (): string => uuidV7(ports.nowMs(), ports.randomBytes(UUID_RANDOM_BYTES));
  const told = { ledger: parts.ledger.writer, ports, after, newDecisionId, log, observer, shown };
  const outcomes = new Outcomes(told, config.outcomes);
  closers.push(() => outcomes.close());
  const traces = new TraceWaits(shown, onFault);
  const refuse = refusalsFrom({
    response,
    newDecisionId,
    onRefusal: (cause, reason, { decisionId, isUnderWay }) => {
      if (traces.isAwaited) traces.refused({ cause, reason, decisionId, atMs: ports.nowMs() });
      metrics.serverRefusals.of({ cause }).inc();
      if (!isUnderWay) refused.add(cause);
      toldRefusals.add(cause, decisionId);
      outcomes.answered({ decisionId, taskId: null, agent: null, action: null, decision: { kind: 'deny' } });
    },
  });
  const { admit, ...admitting } = admission(parts, refused);
  const uses = new TokenUses(MAX_TOKENS_COUNTED);
  const sharing = sharingOf(parts, uses);
  closers.push(() => sharing?.close());
  const services = servicesOf(parts, { keys, nonces, transactionToken });
  const asking = new AskingCalls();
  const loop = loopWatch(parts);
  const checks = checksWith({ ...services, ...admitting, outcomes, uses, asking, sharing, traces, loop });
  const network = await networkOf(parts);
  if (isStartProblem(network)) return network;
  const { certificateFrom, maxBodyBytes: partialBodyBytes } = config.extAuthz;
  const rules = { partialBodyBytes, certificateFrom };
  const server = new AuthorizationServer(
    authorizationHandler(checks, { rules, response, refuse, onFault, monotonicMs: ports.monotonicMs }),
    {
      refuse,
      onFault,
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
      admit,
      turn: {
        begins: () => {
          parts.checkActivity.note();
          parts.states.turn();
        },
        over: () => parts.states.turnOver(),
      },
      monotonicMs: ports.monotonicMs,
      maxInFlight: config.extAuthz.checksInFlight,
      ...(network && { network }),
      accessLog: {
        ledger: response.ledger ?? null,
        opened: (name) => outcomes.opened(name),
        served: (call) => outcomes.served(call),
      },
    },
  );
  closers.push(() => server.close(CLOSE_GRACE_MS));
  const access = await socketAccessOf('extAuthz', config.extAuthz);
  if (isStartProblem(access)) return access;
  const takesOver = config.extAuthz.socketTakeOver;
  const bound = await server.listen(config.extAuthz.listen.map(addressText), { ...access, takesOver });
  return isStartProblem(bound) ? bound : { server, bound, traces: traceSource(traces) };
}

/** Counts and logs what a single check held the event loop for. */
function loopWatch({ log, metrics, ports: { monotonicMs } }: Parts): LoopWatch {
  const watch = new LoopWatch({
    monotonicMs,
    onLong: (stage) => metrics.checkLongTurns.of({ stage }).inc(),
    tell: ({ stage, tookMs, decisionId, untold }) => {
      const ms = Math.round(tookMs);
      const what = `one check held the event loop for \`${ms}\` ms, and all others waited: stage \`${stage}\``;
      log(what, 'long-turn', { stage, ms, decisionId, untold });
    },
  });
  metrics.beforeScrape(() => metrics.checkLongestTurn.of({}).set(watch.longestMs / 1_000));
  return watch;
}

/** Begins to wait for checks, by the filters of a query. */
const traceSource = (traces: TraceWaits): TraceSource => ({
  begin: (filters, told) => {
    const filter = traceFilterFrom(filters);
    return isProblem(filter) ? filter : traces.begin({ filter, told });
  },
});

/** An answer names its ledger if other processes may serve the same proxy: at a sidecar, and at an authority. */
function responseOptions({ extAuthz: { helpUrl, allowMetadata }, ledger, state, authority }: Config): ResponseOptions {
  const options = { helpUrl, allowMetadata };
  return state.kind === 'authority' || authority.listen.length > 0 ? { ...options, ledger: ledger.name } : options;
}

/**
 * Limits the rate of each agent: before its check is decoded, or once its proof is verified. `admit` names the agent for the queue, in which
 * agents take turns.
 */
interface Admission {
  readonly admit: (request: Buffer) => string | null;
  readonly admits?: NonNullable<CheckServices['admits']>;
}

/**
 * An agent is the identity of the connection. Behind a hop all agents share that identity. There a check with a proof is counted once the
 * proof is verified: for the agent of its token if it is valid, else for the hop. A check without a proof counts for the hop at once. So a
 * check without a valid proof never uses up another agent's rate, whatever token it carries.
 */
function admission({ config, ports }: Parts, refused: RefusedChecks): Admission {
  const { binding, identity, maxChecksPerSecondPerAgent: perSecond } = config.extAuthz;
  const rate = new AgentRate({ perSecond, monotonicMs: ports.monotonicMs });
  const take = (agent: string, name = agent): boolean => {
    const isAdmitted = rate.take(agent);
    if (!isAdmitted) refused.addAgent(name);
    return isAdmitted;
  };
  const byConnection = (agent: string): string | null => (take(agent) ? agent : null);
  if (binding !== 'dpop') return { admit: (request) => byConnection(askingAgentIn(request, identity)) };
  return {
    admit: (request) => {
      const agent = askingAgentIn(request, identity);
      return carriesProof(request) ? agent : byConnection(agent);
    },
    admits: ({ proven, hop }) => (proven === null ? take(hop) : take(`proven ${proven}`, proven)),
  };
}

function observerOf(parts: Parts): CheckServices['onChecked'] {
  const { live, decisionStream, metrics, trial } = parts;
  const counted = checkMetrics(metrics);
  const noteCertificate = missingCertificates(parts);
  const noteFormer = formerCertificates(parts);
  const noteForeign = foreignCallers(parts);
  const count: CheckServices['onChecked'] = (check) => {
    counted(check);
    noteCertificate(check);
    noteFormer(check);
    noteForeign(check);
    trial.checked(check);
  };
  if (decisionStream === null) return count;
  const dropped = metrics.decisionLogDropped.of({});
  const log = decisionLog(decisionStream, () => dropped.inc());
  return (check) => {
    count(check);
    const { decisionLog: told } = live();
    if (told === 'stdout' || (told === 'denials' && isDeny(check.decision))) log(check);
  };
}

function tokenCache({ metrics }: Parts): TokenCache {
  const counters = {
    hit: metrics.cacheRequests.of({ cache: 'token', result: 'hit' }),
    signature: metrics.cacheRequests.of({ cache: 'token', result: 'signature' }),
    miss: metrics.cacheRequests.of({ cache: 'token', result: 'miss' }),
  };
  const cache = new TokenCache(TOKENS_CACHED, (result) => counters[result].inc());
  metrics.beforeScrape(() => metrics.cacheEntries.of({ cache: 'token' }).set(cache.size));
  return cache;
}

const sharingOf = ({ sharedUses, reports }: Parts, uses: TokenUses): UseSharing | undefined =>
  sharedUses === null
    ? undefined
    : new UseSharing({ uses, usesBefore: sharedUses.before, report: (one) => reports.usesOf(one), after });

function servicesOf(
  parts: Parts,
  { keys, nonces, transactionToken }: CheckKeys & { readonly nonces: ProofNonces | undefined },
): Omit<CheckServices, 'outcomes' | 'uses'> {
  const { config, ports, digestOf, states, settling, reports, ledger, policies, telemetry, announced } = parts;
  const { extAuthz, issuer } = config;
  return {
    ports,
    identity: {
      mode: extAuthz.identity,
      trustDomains: new Set(config.trustDomains),
      proxyIds: extAuthz.proxyId,
      forwarders: new Set(extAuthz.forwarders),
      leafFrom: leafCache(MAX_LEAVES_CACHED),
    },
    binding: extAuthz.binding,
    onBindingViolation: extAuthz.onBindingViolation,
    maxTokenSeconds: extAuthz.maxTokenSeconds,
    clockSkewSeconds: extAuthz.clockSkewSeconds,
    externalTokens: {
      types: new Map(config.acceptedIssuers.map((accepted) => [accepted.issuer, new Set(accepted.types)])),
      maxLifetimeSeconds: config.maxExternalTokenSeconds,
      clockSkewSeconds: extAuthz.clockSkewSeconds,
      maxBytes: MAX_TOKEN_BYTES,
    },
    keys,
    verified: tokenCache(parts),
    proofs: {
      externalUrl: extAuthz.externalUrl,
      rules: defaultProofRules,
      nonces,
      usedElsewhere: parts.proofs.usedElsewhere,
      memory: parts.proofs.memoryFor('checks', (bound) =>
        parts.metrics.proofsRefused.of({ role: 'checks', bound }).inc(),
      ),
    },
    policies: () => policies.get(),
    states,
    settling,
    sidecar:
      parts.sidecar === null
        ? null
        : { origin: ledger.origin, keep: parts.sidecar.settling.keep.bind(parts.sidecar.settling) },
    digestOf,
    reports,
    ledger: ledger.writer,
    spans: telemetry.spans,
    onChecked: observerOf(parts),
    transactionToken,
    denialDetails: config.extAuthz.denialDetails,
    resourceMetadataUrl: (id, port) => {
      const url = issuer?.url ?? announced.issuer;
      return url === null ? null : resourceMetadataUrl(url, { id }, port);
    },
  };
}
