import type { Tracer } from '@opentelemetry/api';
import type { HttpCall } from './action/call.ts';
import { actionFrom } from './action/http.ts';
import { decide } from './decide.ts';
import type { Facts } from './decide.ts';
import { deny, isDeny } from './decision/decision.ts';
import type { Decision, Deny } from './decision/decision.ts';
import { UUID_RANDOM_BYTES, uuidV7 } from './decision/uuid.ts';
import { callerFrom } from './identity/caller.ts';
import type { IdentityRules, PeerFacts } from './identity/caller.ts';
import type { Judgement } from './judgement.ts';
import { useRecord } from './ledger/use.ts';
import { jtiDigestOf } from './ledger/record.ts';
import type { LedgerRecord } from './ledger/record.ts';
import type { PolicySet } from './policy/load.ts';
import type { Ports } from './ports.ts';
import { taskPermits } from './task/task.ts';
import type { IssuedTokenState } from './task/issued-token.ts';
import type { Task } from './task/task.ts';
import { traceCheck } from './telemetry/span.ts';
import { bearerFrom } from './token/authorization-header.ts';
import type { BindingMode } from './token/binding.ts';
import type { SpanReference, TaskToken } from './token/claims.ts';
import type { TokenUse, TokenUses } from './token/uses.ts';
import { verifyTaskToken } from './token/verify.ts';
import type { VerificationKeys } from './token/verify.ts';

/** One call as the proxy described it, parsed once and canonical; nothing after this reads the message again. */
export interface CheckFacts {
  readonly peer: PeerFacts;
  readonly call: HttpCall;
  readonly trace: CallTrace;
  /** IP address of the other end of the connection. */
  readonly sourceAddress: string | null;
}

/** The trace contexts that arrive with a call, each a W3C `traceparent` or `null`. */
export interface CallTrace {
  /** From the gRPC metadata: the proxy's own span of this check. */
  readonly parent: string | null;
  /** From the call's headers: the application's word. */
  readonly application: string | null;
}

/** How long a check may take and whether anybody still waits for it. */
export interface CheckCall {
  /** On the monotonic clock; `Infinity` where the proxy named none. */
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
  /** Metadata of the gRPC call: its trace context. */
  readonly metadata: ReadonlyMap<string, string>;
}

/** What the proxy is told. */
export interface Answer {
  readonly decision: Decision;
  /** UUIDv7; joins Envoy's access log, the record and the span. */
  readonly decisionId: string;
  readonly taskId: string | null;
  /** SPIFFE ID of the caller, once it is known. */
  readonly agent: string | null;
  /** Id of the action in the catalog, once it is known. */
  readonly action: string | null;
  /** Where a client learns which issuer this resource takes tokens from (RFC 9728); `null` where nothing is published. */
  readonly resourceMetadataUrl: string | null;
  /** Trace of the check's span; `null` where no check was made. */
  readonly traceId: string | null;
}

/** What a check works with. */
export interface CheckServices {
  readonly ports: Ports;
  readonly identity: IdentityRules;
  readonly binding: BindingMode;
  readonly maxTokenSeconds: number;
  readonly clockSkewSeconds: number;
  readonly keys: VerificationKeys;
  /** The policy set in force at this moment. */
  readonly policies: () => PolicySet | Deny;
  /** The task as it stands at this moment, with the token of that digest; never cached. */
  readonly tasks: (issuer: string, taskId: string, jtiDigest: string) => UseState | Deny | undefined;
  /** The clock that tasks are judged by: it does not step back. Milliseconds since the Unix epoch. */
  readonly taskClock: () => number;
  readonly uses: TokenUses;
  readonly ledger: UseLedger;
  readonly tracer: Tracer;
}

/** What the store holds of a task and of one token of it. */
export interface UseState {
  readonly task: Task;
  readonly issued: IssuedTokenState | undefined;
}

/** Where uses are recorded: `append` within moments, `durable` before it answers; `false` is not recorded. */
export interface UseLedger {
  append(record: LedgerRecord): boolean;
  durable(record: LedgerRecord): Promise<boolean>;
}

const MAX_TOKEN_BYTES = 8192;

/** Answers one check: gathers the facts, decides, settles, records. It always answers and never throws. */
export type Check = (facts: CheckFacts | Deny, call: CheckCall) => Promise<Answer>;

/** The shell around `decide`. */
export function checkWith(services: CheckServices): Check {
  return async (parsed, call) => {
    const startedAtMs = services.ports.nowMs();
    const decisionId = uuidV7(startedAtMs, services.ports.randomBytes(UUID_RANDOM_BYTES));
    const policies = services.policies();
    const { facts, use } = await gather(services, parsed, policies);
    const late = call.signal.aborted || services.ports.monotonicMs() > call.deadlineMs;
    const decision = late
      ? deny('overloaded', 'the deadline of the check passed before it was decided')
      : decide(facts, { binding: services.binding, policies });
    const judgement = { decisionId, decision, facts, policySet: isDeny(policies) ? null : policies.hash };
    const trace = isDeny(parsed)
      ? { parent: call.metadata.get('traceparent') ?? null, application: null }
      : parsed.trace;
    return settle(services, judgement, { startedAtMs, use, trace });
  };
}

interface Gathered {
  readonly facts: Facts;
  readonly use: TokenUse | null;
}

async function gather(
  services: CheckServices,
  parsed: CheckFacts | Deny,
  policies: PolicySet | Deny,
): Promise<Gathered> {
  const nowMs = services.ports.nowMs();
  if (isDeny(parsed)) {
    const nothing = { call: parsed, caller: parsed, token: parsed, ...taskFacts(parsed), action: parsed, use: 0 };
    return { facts: { ...nothing, nowMs, taskNowMs: services.taskClock() }, use: null };
  }
  const caller = callerFrom(parsed.peer, services.identity, nowMs);
  const token = isDeny(caller) ? caller : await tokenOf(services, parsed.call, policies, nowMs);
  const use = isDeny(token) ? null : services.uses.next(token.digest);
  const action = isDeny(policies) ? policies : actionFrom(parsed.call, policies.catalog);
  // INVARIANT: the state of the task is read last and without an await before `decide`, so no end slips in between.
  const state = isDeny(token) ? token : services.tasks(token.issuer, token.taskId, jtiDigestOf(token.tokenId));
  const clocks = { nowMs: services.ports.nowMs(), taskNowMs: services.taskClock() };
  return {
    facts: { call: parsed.call, caller, token, ...taskFacts(state), action, use: use?.use ?? 0, ...clocks },
    use,
  };
}

const taskFacts = (state: UseState | Deny | undefined): Pick<Facts, 'task' | 'issued'> =>
  state === undefined || isDeny(state) ? { task: state, issued: undefined } : state;

async function tokenOf(
  services: CheckServices,
  call: HttpCall,
  policies: PolicySet | Deny,
  nowMs: number,
): Promise<TaskToken | Deny> {
  const compact = bearerFrom(call.headers.get('authorization') ?? []);
  if (isDeny(compact)) return compact;
  if (isDeny(policies)) return policies;
  const rules = {
    audiences: policies.catalog.audiences,
    maxLifetimeSeconds: services.maxTokenSeconds,
    clockSkewSeconds: services.clockSkewSeconds,
    maxBytes: MAX_TOKEN_BYTES,
  };
  return verifyTaskToken(compact, rules, services.keys, nowMs);
}

interface Settling {
  readonly startedAtMs: number;
  readonly use: TokenUse | null;
  readonly trace: CallTrace;
}

/** Traces and records a judgement. An allow that does not hold after that becomes a denial, traced in its turn. */
async function settle(services: CheckServices, judgement: Judgement, at: Settling): Promise<Answer> {
  const tracing = { tracer: services.tracer, randomBytes: services.ports.randomBytes };
  const span = traceCheck(tracing, judgement, {
    ...at.trace,
    previousUse: at.use?.previous ?? null,
    startedAtMs: at.startedAtMs,
  });
  const { token } = judgement.facts;
  if (!isDeny(token)) services.uses.traced(token.digest, span);
  const broken = await obligationProblem(services, judgement, span);
  if (broken === null || isDeny(judgement.decision)) return answerOf(judgement, span);
  const withdrawn = { ...judgement, decision: broken };
  const again = traceCheck(tracing, withdrawn, { ...at.trace, previousUse: span, startedAtMs: at.startedAtMs });
  services.ledger.append(useRecord(withdrawn, again));
  return answerOf(withdrawn, again);
}

/**
 * What stands in the way of an allow once it is recorded. High risk waits for the disk, the rest for a place in the queue;
 * who waited asks for the task again, since it may have ended meanwhile.
 */
async function obligationProblem(
  services: CheckServices,
  { decision, facts, ...ids }: Judgement,
  span: SpanReference,
): Promise<Deny | null> {
  const record = useRecord({ decision, facts, ...ids }, span);
  const { action, token } = facts;
  const waits = decision.kind === 'allow' && !isDeny(action) && action.risk === 'high';
  const isRecorded = waits ? await services.ledger.durable(record) : services.ledger.append(record);
  if (!isRecorded) return deny('ledger.unavailable', 'the use could not be recorded');
  if (!waits || isDeny(token)) return null;
  const { task, issued } = taskFacts(services.tasks(token.issuer, token.taskId, jtiDigestOf(token.tokenId)));
  const live = isDeny(task) ? task : taskPermits(task, token, issued, services.taskClock());
  return isDeny(live) ? live : null;
}

const answerOf = ({ decision, decisionId, facts }: Judgement, span: SpanReference): Answer => ({
  decision,
  decisionId,
  taskId: isDeny(facts.token) ? null : facts.token.taskId,
  agent: isDeny(facts.caller) ? null : facts.caller.id,
  action: isDeny(facts.action) ? null : facts.action.id,
  resourceMetadataUrl: null,
  traceId: span.traceId,
});
