import { createHash } from 'node:crypto';
import { spendsOf } from './action/budget.ts';
import type { ArgumentValue } from './action/http.ts';
import { coveringDetail } from './action/intent-scope.ts';
import { jsonRpcIdOf } from './action/json-rpc-id.ts';
import type { Answer, CallTrace, CheckServices } from './check-services.ts';
import { taskTokenOf } from './decide.ts';
import type { Facts } from './decide.ts';
import { deny, isDeny } from './decision/decision.ts';
import type { Decision, Deny } from './decision/decision.ts';
import { taskState } from './gather.ts';
import type { Judgement } from './judgement.ts';
import { canonicalJson } from './ledger/canonical-json.ts';
import { jtiDigestOf } from './ledger/record.ts';
import { useRecord } from './ledger/use.ts';
import { agentOf } from './policy/question.ts';
import { isStoreFailure, stateUnavailable } from './store/store-failure.ts';
import { settleBindingViolation } from './task/binding-violation.ts';
import { taskPermits } from './task/task.ts';
import { traceCheck } from './telemetry/span.ts';
import type { SpanReference, TaskToken } from './token/claims.ts';
import type { TokenUse } from './token/uses.ts';

/** What a judgement is traced and recorded with. */
export interface Settling {
  /** When the check began, milliseconds since the Unix epoch. */
  readonly startedAtMs: number;
  readonly use: TokenUse | null;
  readonly trace: CallTrace;
  /** Address of the other end, for the transaction token. */
  readonly sourceAddress: string | null;
}

/**
 * Makes a decision hold: spends what the use takes from its task, settles a stolen token, traces, records, and signs what
 * the upstream is handed. An allow that does not hold becomes a denial, traced and recorded in its turn.
 */
export async function settle(services: CheckServices, judged: Judgement, at: Settling): Promise<Answer> {
  const judgement = { ...judged, decision: spent(services, judged) };
  settleStolenToken(services, judgement);
  const tracing = { tracer: services.tracer, randomBytes: services.ports.randomBytes };
  const { startedAtMs, trace, use } = at;
  const span = traceCheck(tracing, judgement, { ...trace, previousUse: use?.previous ?? null, startedAtMs });
  const { credential } = judgement.facts;
  if (!isDeny(credential) && credential.kind !== 'workload-identity') services.uses.traced(credential.digest, span);
  const broken = await recordProblem(services, judgement, span);
  const handed = broken ?? (await transactionToken(services, judgement, { span, sourceAddress: at.sourceAddress }));
  if (!isDeny(handed)) return answerOf(services, judgement, { span, transactionToken: handed });
  if (isDeny(judgement.decision)) return answerOf(services, judgement, { span, transactionToken: null });
  const withdrawn = { ...judgement, decision: handed };
  const again = traceCheck(tracing, withdrawn, { ...trace, previousUse: span, startedAtMs });
  services.ledger.append(useRecord(withdrawn, again));
  return answerOf(services, withdrawn, { span: again, transactionToken: null });
}

/** The decision after the use has taken from its task what it takes: all of it at once, or nothing and a denial. */
function spent({ store }: CheckServices, { decision, facts }: Judgement): Decision {
  const token = taskTokenOf(facts);
  if (isDeny(decision) || token === null || isDeny(facts.action)) return decision;
  const detail = coveringDetail(token.details, facts.action, facts.nowMs);
  if (isDeny(detail)) return detail;
  const spends = spendsOf(detail, facts.action);
  if (isDeny(spends)) return spends;
  if (spends.length === 0) return decision;
  const problem = store.spend({ issuer: token.issuer, id: token.taskId }, jtiDigestOf(token.tokenId), spends);
  if (problem === null) return decision;
  if (isStoreFailure(problem)) return stateUnavailable(problem);
  return spendDenials[problem];
}

const spendDenials = {
  exhausted: deny('task.exhausted', 'the use takes more than is left of a constraint'),
  replayed: deny('task.replayed', 'the token was used before, and its constraint allows one use'),
  ended: deny('token.revoked', 'the task or the token ended while the use was decided'),
} as const;

/** A verified task token that another workload presents: by default it is dead from now on. */
function settleStolenToken(services: CheckServices, { decision, facts }: Judgement): void {
  const token = taskTokenOf(facts);
  const { caller } = facts;
  const isStolen = isDeny(decision) && decision.reason === 'token.binding' && token !== null && !isDeny(caller);
  if (!isStolen || caller.id === token.clientId) return;
  const { record } = settleBindingViolation(
    services.store,
    {
      issuer: token.issuer,
      taskId: token.taskId,
      issued: facts.issued,
      presentedBy: caller.id,
      nowMs: facts.taskNowMs,
    },
    { effect: services.onBindingViolation, isFailure: isStoreFailure },
  );
  if (record !== null) services.ledger.append(record);
}

/**
 * What stands in the way of an allow once it is recorded. High risk waits for the disk, the rest for a place in the queue;
 * who waited asks for the task again, since it may have ended meanwhile.
 */
async function recordProblem(services: CheckServices, judgement: Judgement, span: SpanReference): Promise<Deny | null> {
  const record = useRecord(judgement, span);
  const { decision, facts } = judgement;
  const waits = decision.kind === 'allow' && !isDeny(facts.action) && facts.action.risk === 'high';
  const isRecorded = waits ? await services.ledger.durable(record) : services.ledger.append(record);
  if (!isRecorded) return deny('ledger.unavailable', 'the use could not be recorded');
  const token = taskTokenOf(facts);
  return waits && token !== null ? endedMeanwhile(services, token) : null;
}

function endedMeanwhile(services: CheckServices, token: TaskToken): Deny | null {
  const { task, issued } = taskState(services, token);
  const live = isDeny(task) ? task : taskPermits(task, token, issued, services.store.nowMs());
  return isDeny(live) ? live : null;
}

/** The transaction token of an allowed call, where its server asks for one; a denial where it cannot be signed. */
async function transactionToken(
  { transactionToken: sign }: CheckServices,
  { decision, facts }: Judgement,
  { span, sourceAddress }: { readonly span: SpanReference; readonly sourceAddress: string | null },
): Promise<string | null | Deny> {
  const { action, caller, credential } = facts;
  if (isDeny(decision) || isDeny(action) || isDeny(caller) || isDeny(credential)) return null;
  if (!action.server.transactionToken) return null;
  const token = taskTokenOf(facts);
  if (token === null || sign === null)
    return token === null ? null : deny('internal', 'no key signs transaction tokens');
  try {
    return await sign({
      taskId: token.taskId,
      subject: token.subject,
      agent: agentOf({ caller, credential }),
      action: action.id,
      resource: action.server.audience,
      argsDigest: argsDigestOf(action.args),
      scope: token.scope,
      traceparent: `00-${span.traceId}-${span.spanId}-01`,
      requestIp: sourceAddress,
    });
  } catch {
    return deny('internal', 'the transaction token could not be signed');
  }
}

/** Digest of the arguments in canonical JSON; `null` where there are none. */
function argsDigestOf(args: ReadonlyMap<string, ArgumentValue>): string | null {
  const text = args.size === 0 ? null : canonicalJson(Object.fromEntries(args));
  return typeof text === 'string' ? `sha-256:${createHash('sha256').update(text, 'utf8').digest('base64url')}` : null;
}

const answerOf = (
  services: CheckServices,
  { decision, decisionId, facts }: Judgement,
  { span, transactionToken: handed }: { readonly span: SpanReference; readonly transactionToken: string | null },
): Answer => ({
  decision,
  decisionId,
  taskId: taskTokenOf(facts)?.taskId ?? null,
  agent: agentIn(facts),
  action: isDeny(facts.action) ? null : facts.action.id,
  resourceMetadataUrl: isDeny(facts.action) ? null : services.resourceMetadataUrl(facts.action.server.id),
  traceId: span.traceId,
  transactionToken: handed,
  ...(isDeny(decision) ? jsonRpcIn(services, facts) : {}),
});

/** What a client that speaks JSON-RPC needs to match the denial to its request. */
function jsonRpcIn({ policies }: CheckServices, { call }: Facts): Pick<Answer, 'jsonRpcId'> {
  const inForce = policies();
  const id = isDeny(call) || isDeny(inForce) ? undefined : jsonRpcIdOf(call, inForce.catalog);
  return id === undefined ? {} : { jsonRpcId: id };
}

const agentIn = ({ caller, credential }: Facts): string | null => {
  if (isDeny(caller)) return null;
  return isDeny(credential) ? caller.id : agentOf({ caller, credential });
};
