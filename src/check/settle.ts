import { createHash } from 'node:crypto';
import { spendsOf } from '../action/budget.ts';
import type { Action, ArgumentValue } from '../action/http.ts';
import { coveringDetail } from '../action/intent-scope.ts';
import { jsonRpcDenialOf } from '../action/json-rpc-denial.ts';
import type { Answer, CallTrace, CheckServices } from './services.ts';
import { taskTokenOf } from '../decide/decide.ts';
import type { Facts } from '../decide/decide.ts';
import { deny, isDeny } from '../decision/decision.ts';
import type { Decision, Deny } from '../decision/decision.ts';
import { UUID_RANDOM_BYTES, uuidV7 } from '../decision/uuid.ts';
import { taskState } from './read.ts';
import { isPresentedByAnother, shownCheck } from '../decide/decided-check.ts';
import type { DecidedCheck } from '../decide/decided-check.ts';
import { canonicalJson } from '../ledger/canonical-json.ts';
import { jtiDigestOf } from '../ledger/record.ts';
import type { UseRecord } from '../ledger/record.ts';
import { useRecord } from '../ledger/use.ts';
import { agentOf } from '../policy/question.ts';
import { isStoreFailure, stateUnavailable } from '../sqlite/store-failure.ts';
import { settleBindingViolation } from '../task/binding-violation.ts';
import { historyWith } from '../task/history.ts';
import type { HistoryEntry, TaskHistory } from '../task/history.ts';
import { taskPermits } from '../task/task.ts';
import { placeOfCheck, traceCheck } from '../telemetry/span.ts';
import type { CheckPlace } from '../telemetry/span.ts';
import type { SpanReference, TaskToken } from '../token/claims.ts';
import type { TokenUse } from '../token/uses.ts';

/** What a judgement is traced and recorded with. */
export interface Settling {
  /** When the check began, milliseconds on the monotonic clock. */
  readonly startedMs: number;
  readonly use: TokenUse | null;
  readonly trace: CallTrace;
  /** Address of the other end, for the transaction token. */
  readonly sourceAddress: string | null;
  /** Decides again, by facts that have changed meanwhile. */
  readonly decideBy: (facts: Facts) => Pick<DecidedCheck, 'decision' | 'cache'>;
}

/** A judgement that holds, and where its span stands. */
export interface Held {
  readonly judgement: DecidedCheck;
  readonly place: CheckPlace;
  readonly at: Settling;
}

/**
 * Makes a decision hold: spends what the use takes from its task, and settles a stolen token. INVARIANT: nothing is awaited, and
 * no other check decided, between what this was decided by and this; and what is told of a call is made of the judgement it gives,
 * which shows no credential.
 *
 * What was spent stays spent, and in the history, where the use is denied after that: its record found no room, its task
 * ended while it waited for the disk, its transaction token could not be signed. A budget can so run out early, and never
 * late, and what other uses were decided by meanwhile stays true.
 */
export function hold(services: CheckServices, judged: DecidedCheck, at: Settling): Held {
  const judgement = shownCheck(spentFor(services, judged, at.decideBy), (secret) => services.store.digestOf(secret));
  settleStolenToken(services, judgement);
  noteSecrets(services, judgement);
  const place = placeOfCheck(services, at.trace.parent);
  const { credential } = judgement.facts;
  if (at.use !== null && !isDeny(credential) && credential.kind !== 'workload-identity') {
    services.uses.traced(credential.useKey, place);
    if (!isDeny(judgement.decision)) services.uses.allowed(credential.useKey, at.use);
  }
  return { judgement, place, at };
}

/**
 * Records a judgement, and signs what the upstream is handed. An allow that does not hold becomes a denial, traced and recorded
 * in its turn.
 */
export function settle(services: CheckServices, held: Held): Answer | Promise<Answer> {
  const { judgement, place } = held;
  const record = useRecord(judgement, place);
  if (waitsForDisk(judgement) || isHandedToken(judgement)) return settledLate(services, record, held);
  return completed(services, services.ledger.append(record) ? null : unrecorded, held);
}

/** Writes the span of a judgement. */
export const trace = (services: CheckServices, { judgement, place, at }: Held): void =>
  traceCheck(services, judgement, {
    place,
    application: at.trace.application,
    previousUse: at.use?.previous ?? null,
    startedMs: at.startedMs,
  });

const unrecorded = deny('ledger.unavailable', 'the use could not be recorded');

/** Where the record has to be on disk before the answer, or a token is signed for the upstream. */
async function settledLate(services: CheckServices, record: UseRecord, held: Held): Promise<Answer> {
  const { judgement } = held;
  const waits = waitsForDisk(judgement);
  const isRecorded = waits ? await services.ledger.durable(record) : services.ledger.append(record);
  const token = taskTokenOf(judgement.facts);
  const ended = isRecorded && waits && token !== null ? endedMeanwhile(services, token) : null;
  const broken = isRecorded ? ended : unrecorded;
  return completed(services, broken ?? (await transactionToken(services, held)), held);
}

/**
 * The answer, with what the upstream is handed. What stands in the way of an allow makes a denial of it with an id of its own, traced
 * and recorded too: the allow may be on disk, and one id must not stand for two decisions. What was answered, and so what the outcome
 * joins, is the denial.
 */
function completed(services: CheckServices, handed: string | null | Deny, { judgement, place, at }: Held): Answer {
  if (!isDeny(handed)) return answerOf(services, judgement, { place, transactionToken: handed });
  if (isDeny(judgement.decision)) return answerOf(services, judgement, { place, transactionToken: null });
  const { nowMs, randomBytes } = services.ports;
  const decisionId = uuidV7(nowMs(), randomBytes(UUID_RANDOM_BYTES));
  const withdrawn = { ...judgement, decision: handed, decisionId, withdraws: judgement.decisionId };
  const again = placeOfCheck(services, at.trace.parent);
  const { application } = at.trace;
  const previousUse = at.use?.previous ?? null;
  traceCheck(services, withdrawn, {
    place: again,
    application,
    previousUse,
    withdraws: place,
    startedMs: at.startedMs,
  });
  services.ledger.append(useRecord(withdrawn, again));
  return answerOf(services, withdrawn, { place: again, transactionToken: null });
}

/**
 * The judgement once the use is in the budgets and the history of its task. INVARIANT: what is added to the history was
 * decided by all that was in it before, so a history that changed meanwhile is judged anew, without an await in between.
 */
function spentFor(services: CheckServices, judged: DecidedCheck, decideBy: Settling['decideBy']): DecidedCheck {
  const decision = spent(services, judged);
  const token = taskTokenOf(judged.facts);
  if (decision !== 'history-changed' || token === null) return { ...judged, decision: orChangedTwice(decision) };
  const facts = { ...judged.facts, ...taskState(services, token) };
  const again = { ...judged, facts, ...decideBy(facts) };
  return { ...again, decision: orChangedTwice(spent(services, again)) };
}

const orChangedTwice = (decision: Decision | 'history-changed'): Decision =>
  decision === 'history-changed'
    ? deny('task.state-unavailable', 'the history of the task changed again and again while the use was decided')
    : decision;

/** The decision after the use has taken from its task what it takes: all of it at once, or nothing and a denial. */
function spent(services: CheckServices, { decision, facts }: DecidedCheck): Decision | 'history-changed' {
  const token = taskTokenOf(facts);
  if (isDeny(decision) || token === null || isDeny(facts.action)) return decision;
  const detail = coveringDetail(token.details, facts.action, facts.nowMs);
  if (isDeny(detail)) return detail;
  const spends = spendsOf(detail, facts.action);
  if (isDeny(spends)) return spends;
  const entry = entryOf(facts.history, facts.action);
  if (spends.length === 0 && entry === undefined) return decision;
  const key = { issuer: token.issuer, id: token.taskId };
  const problem = services.store.spend(key, jtiDigestOf(token.tokenId), spends, entry);
  if (problem === null || problem === 'history-changed') return problem ?? decision;
  if (isStoreFailure(problem)) return stateUnavailable(problem);
  return problem === 'ended' ? stoppedMeanwhile(services, token) : spendDenials[problem];
}

/** What the use adds to the history; `undefined` where that is nothing new, so that nothing is written. */
function entryOf(history: TaskHistory, action: Action): HistoryEntry | undefined {
  const entry = { version: history.version, action: action.id, labels: [...action.labels] };
  return historyWith(history, entry) === 'same' ? undefined : entry;
}

const spendDenials = {
  exhausted: deny('task.exhausted', 'the use takes more than is left of a constraint'),
  replayed: deny('task.replayed', 'the token was used before, and its constraint allows one use'),
  'history-full': deny('task.exhausted', 'the history of the task has no room for another action or label'),
} as const;

/** Keeps the inventory of static secrets, of known callers; written apart, so that no decision waits for it or fails with it. */
function noteSecrets({ sideWrites }: CheckServices, { facts: { secrets, caller, action } }: DecidedCheck): void {
  if (secrets.length === 0 || isDeny(caller)) return;
  const whose = { agent: caller.id, action: isDeny(action) ? '' : action.id };
  sideWrites.seen(
    secrets.map(({ digest, kind, where, name }) => ({ digest, kind, place: `${where} ${name}`, ...whose })),
  );
}

/** A verified task token that another workload presents: by default it is dead from now on. */
function settleStolenToken(services: CheckServices, judgement: DecidedCheck): void {
  const { facts } = judgement;
  const token = taskTokenOf(facts);
  const { caller } = facts;
  if (!isPresentedByAnother(judgement) || token === null || isDeny(caller)) return;
  const record = settleBindingViolation(
    services.sideWrites,
    {
      issuer: token.issuer,
      taskId: token.taskId,
      issued: facts.issued,
      presentedBy: caller.id,
      nowMs: facts.nowMs,
    },
    services.onBindingViolation,
  );
  if (record !== null) services.ledger.append(record);
}

/** An allow of high risk waits for the disk, all else for a place in the queue alone. */
const waitsForDisk = ({ decision, facts: { action } }: DecidedCheck): boolean =>
  !isDeny(decision) && !isDeny(action) && action.risk === 'high';

/** Whether a call is allowed at a server that asks for a transaction token. */
const isHandedToken = ({ decision, facts: { action } }: DecidedCheck): boolean =>
  !isDeny(decision) && !isDeny(action) && action.server.transactionToken;

/** Nothing was spent, since the task or the token ended while the use was decided: what ended it is the reason. */
const stoppedMeanwhile = (services: CheckServices, token: TaskToken): Deny =>
  endedMeanwhile(services, token) ?? deny('token.revoked', 'the token ended while the use was decided');

/** Who waited asks for the task again, since it may have ended meanwhile. */
function endedMeanwhile(services: CheckServices, token: TaskToken): Deny | null {
  const { task, issued } = taskState(services, token);
  const live = isDeny(task) ? task : taskPermits(task, token, issued, services.store.clocks());
  return isDeny(live) ? live : null;
}

/** The transaction token of an allowed call, where its server asks for one; a denial where it cannot be signed. */
async function transactionToken(
  { transactionToken: sign }: CheckServices,
  { judgement, place, at }: Held,
): Promise<string | null | Deny> {
  const { facts } = judgement;
  const { action, caller, credential } = facts;
  if (!isHandedToken(judgement) || isDeny(action) || isDeny(caller) || isDeny(credential)) return null;
  const token = taskTokenOf(facts);
  if (token === null || sign === null)
    return token === null ? null : deny('internal', 'no key signs transaction tokens');
  try {
    return await sign({
      taskId: token.taskId,
      tokenDigest: jtiDigestOf(token.tokenId),
      subject: token.subject,
      agent: agentOf({ caller, credential }),
      action: action.id,
      resource: action.server.audience,
      argsDigest: argsDigestOf(action.args),
      scope: token.scope,
      traceparent: `00-${place.traceId}-${place.spanId}-01`,
      requestIp: at.sourceAddress,
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
  { decision, decisionId, facts }: DecidedCheck,
  { place, transactionToken: handed }: { readonly place: SpanReference; readonly transactionToken: string | null },
): Answer => ({
  decision,
  decisionId,
  taskId: taskTokenOf(facts)?.taskId ?? null,
  agent: agentIn(facts),
  action: isDeny(facts.action) ? null : facts.action.id,
  resourceMetadataUrl: metadataUrlFor(services, decision, facts),
  traceId: place.traceId,
  transactionToken: handed,
  passing: isDeny(decision) ? [] : facts.passing,
  ...(isDeny(decision) ? jsonRpcIn(services, facts) : {}),
});

/** For a client that is turned away; who is let in does not ask. */
const metadataUrlFor = (services: CheckServices, decision: Decision, { action }: Facts): string | null =>
  !isDeny(decision) || isDeny(action) ? null : services.resourceMetadataUrl(action.server.id);

/** What a client that speaks JSON-RPC needs to match the denial to its request. */
function jsonRpcIn({ policies }: CheckServices, { call }: Facts): Pick<Answer, 'jsonRpcDenial'> {
  const inForce = policies();
  const denial = isDeny(call) || isDeny(inForce) ? undefined : jsonRpcDenialOf(call, inForce.catalog);
  return denial === undefined ? {} : { jsonRpcDenial: denial };
}

const agentIn = ({ caller, credential }: Facts): string | null => {
  if (isDeny(caller)) return null;
  return isDeny(credential) ? caller.id : agentOf({ caller, credential });
};
