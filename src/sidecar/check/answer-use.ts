import { answerTo } from './answer.ts';
import type { AnswerServices } from './answer.ts';
import { outOfTime, traceOf } from './decide-now.ts';
import type { DecidedUse } from './decide-now.ts';
import { currentProblem } from './task-facts.ts';
import type { CheckServices } from './services.ts';
import { isHighRiskUse, linkTo, unrecorded } from './sent-record.ts';
import { traceWithdrawal } from './observe.ts';
import type { AnsweredCheck } from './observe.ts';
import { isHandedToken, transactionToken } from './transaction-token.ts';
import { allReadings } from '../../core/action/http/http.ts';
import { isPermitted } from '../../core/decide/decided-check.ts';
import { enforce, holdsWhileObserved } from '../../core/decide/enforce.ts';
import { stoppedWhileObserved } from '../../core/decide/held-while-observed.ts';
import { isEmergency } from '../../core/decide/mode.ts';
import { taskTokenOf } from '../../core/decide/facts.ts';
import type { CallFacts } from '../../core/decide/facts.ts';
import { isDeny } from '../../core/decision/decision.ts';
import type { Decision, Deny } from '../../core/decision/decision.ts';
import { stateUnavailable } from '../../core/decision/unavailable.ts';
import { UUID_RANDOM_BYTES, uuidV7 } from '../../core/decision/uuid.ts';
import { useRecord } from '../../core/ledger/use.ts';
import { placeOfCheck } from '../../core/telemetry/spans/span.ts';

/** The services that recording and answering a decided use take. */
type AnsweringServices = AnswerServices &
  Pick<CheckServices, 'ports' | 'ledger' | 'states' | 'keys' | 'asking' | 'transactionToken' | 'spans' | 'loop'>;

/** Records a decided check and answers it. An allow of a high-risk action waits until its record is on disk. */
export function answerUse(
  services: AnsweringServices,
  decided: DecidedUse | Promise<DecidedUse>,
): AnsweredCheck | Promise<AnsweredCheck> {
  if ('then' in decided) return decided.then((settled) => answerLate(services, settled));
  if (isHighRiskUse(decided.check) || isHandedToken(decided.check)) return answerLate(services, decided);
  const beganMs = services.ports.monotonicMs();
  const answered = answerNow(services, decided);
  services.loop?.held('answer', answered.answeredMs - beganMs, answered.check.decisionId);
  return answered;
}

function answerNow(services: AnsweringServices, decided: DecidedUse): AnsweredCheck {
  const isRecorded = services.ledger.append(useRecord(decided.check, decided.use.place));
  if (isPermitted(decided.check) && !isRecorded) return withdrawn(services, decided, unrecorded);
  return noted(answeredWith(services, decided, null), isRecorded);
}

/** Notes that a call passed without a record. */
const noted = (answered: AnsweredCheck, isRecorded: boolean): AnsweredCheck =>
  isRecorded || isDeny(answered.check.decision) ? answered : { ...answered, isUnrecorded: true };

/** INVARIANT: nothing is awaited between the last look at the task and the answer. */
async function answerLate(services: AnsweringServices, settled: DecidedUse): Promise<AnsweredCheck> {
  const decided = asAnswered(settled);
  const { check, read, sent, use } = decided;
  // Its record, an allow, may be on disk: the denial needs an id of its own.
  if (sent?.problem) return withdrawn(services, decided, sent.problem);
  if (isTooLate(decided)) return withdrawn(services, decided, outOfTime);
  const beganMs = services.ports.monotonicMs();
  const recording = recorded(services, decided);
  services.loop?.held('answer', services.ports.monotonicMs() - beganMs, check.decisionId);
  const isRecorded = await recording;
  if (isDeny(check.decision)) return answeredWith(services, decided, null);
  if (!isPermitted(check)) return noted(answeredUnpermitted(services, decided), isRecorded);
  if (!isRecorded) return withdrawn(services, decided, unrecorded);
  const { facts } = read.asked;
  const requestIp = isDeny(facts) ? null : facts.sourceAddress;
  const handed = await transactionToken(services, check, { span: use.place, requestIp });
  if (isDeny(handed)) return withdrawn(services, decided, handed);
  const token = taskTokenOf(check.facts);
  const ended = token === null ? null : currentProblem(services, token);
  const problem = isTooLate(decided) ? outOfTime : (ended ?? stoppedMeanwhile(services, decided));
  return problem === null ? answeredWith(services, decided, handed) : withdrawn(services, decided, problem);
}

/**
 * Why an allowed call is denied by the current orders: a stop concerns it, or later orders may be missing; `null` if it is not
 * denied.
 */
function stoppedMeanwhile(
  { states, binding }: Pick<AnsweringServices, 'states' | 'binding'>,
  { check: { facts }, read: { knownBy } }: DecidedUse,
): Deny | null {
  const orders = states.orders();
  if (orders === facts.orders) return null;
  const stopped = stoppedWhileObserved({ ...facts, orders }, { binding, policies: knownBy });
  return stopped ?? (orders.stale === null ? null : stateUnavailable(orders.stale));
}

/** The answer to a use that passes only because it is observed, by the current state of its task and the current orders. */
function answeredUnpermitted(services: AnsweringServices, decided: DecidedUse): AnsweredCheck {
  const ended = endedMeanwhile(services, decided);
  if (ended !== null) return withdrawn(services, enforcedAgain(decided), ended);
  const held = heldMeanwhile(services, decided);
  return held === null ? answeredWith(services, decided, null) : withdrawn(services, decided, held);
}

/** What denies an observed call now: its token, which may have ended while it waited, or a stop; `null` if nothing does. */
function heldMeanwhile(
  services: Pick<AnsweringServices, 'states' | 'binding' | 'keys'>,
  decided: DecidedUse,
): Deny | null {
  const token = taskTokenOf(decided.check.facts);
  const problems = [token === null ? null : currentProblem(services, token), stoppedMeanwhile(services, decided)];
  return problems.find((problem): problem is Deny => problem !== null && holdsWhileObserved(problem)) ?? null;
}

/** A denial as it is answered: while its call is only observed it passes, unless something else denies it now. */
function answeredAs(services: AnsweringServices, decided: DecidedUse, why: Deny): Decision {
  const decision = enforce(why, decided.check.mode ?? null);
  return isDeny(decision) ? decision : (heldMeanwhile(services, decided) ?? decision);
}

/** The decision that was sent at the deadline. */
const sentAtDeadline = ({ check, read }: DecidedUse): Decision =>
  read.asked.call.signal.isPassed === true ? enforce(outOfTime, check.mode ?? null) : outOfTime;

/** The denial of a call that passed because of an emergency which has ended meanwhile; `null` if there is none. */
function endedMeanwhile({ states }: Pick<AnsweringServices, 'states'>, { check }: DecidedUse): Deny | null {
  const { decision, mode, facts } = check;
  if (isDeny(decision) || mode === undefined || !isEmergency(mode)) return null;
  const orders = states.orders();
  if (orders === facts.orders) return null;
  const running = orders.observing({ wallMs: facts.nowMs, floorMs: facts.floorMs });
  return running.some(({ id }) => id === mode.id) ? null : decision.observed;
}

/** The use, with its call enforced instead of observed. */
function enforcedAgain(decided: DecidedUse): DecidedUse {
  const { mode: _ended, ...check } = decided.check;
  return { ...decided, check };
}

/** Whether a use was allowed only after its check had been abandoned. Its call was not let through. */
const isTooLate = ({ check, read }: DecidedUse): boolean => isPermitted(check) && read.asked.call.signal.aborted;

/** A denial of a call that was already answered at its deadline: the record gets the id and the reason of that answer. */
function asAnswered(decided: DecidedUse): DecidedUse {
  const { refusedAs } = decided.read.asked.call.signal;
  if (refusedAs === undefined || isPermitted(decided.check)) return decided;
  return { ...decided, check: { ...decided.check, decision: sentAtDeadline(decided), decisionId: refusedAs } };
}

/** Records a use. If an authority has committed the record, the ledger gets a link to it. */
function recorded(
  { ledger }: Pick<AnsweringServices, 'ledger'>,
  { check, use, sent }: DecidedUse,
): boolean | Promise<boolean> {
  if (sent !== undefined) return ledger.append(linkTo(sent.record, check.decisionId));
  const record = useRecord(check, use.place);
  return isHighRiskUse(check) ? ledger.durable(record) : ledger.append(record);
}

function answeredWith(services: AnsweringServices, decided: DecidedUse, handed: string | null): AnsweredCheck {
  const { check, use } = decided;
  if (isPermitted(check)) rememberCall(services, check.facts);
  const answer = answerTo(services, check, { traceId: use.place.traceId, transactionToken: handed });
  return { decided, check, answer, answeredMs: services.ports.monotonicMs() };
}

/** Remembers an allowed call that a later message can continue. INVARIANT: before the answer, since the message may come right after it. */
function rememberCall(
  { asking }: Pick<AnsweringServices, 'asking'>,
  { action, caller, credential, nowMs }: CallFacts,
): void {
  if (asking === undefined || isDeny(action) || isDeny(caller) || isDeny(credential)) return;
  for (const reading of allReadings(action)) asking.allowed(reading, { caller, credential }, nowMs);
}

/**
 * Replaces an allow by a denial (by another allow if the call is only observed and the denial passes), with its own decision id,
 * span and record. The replaced allow may already be on disk, and one id must not name two decisions. Outcomes are joined with
 * the denial, since that is what was answered. If the call was answered at its deadline, the denial has the id of that answer.
 */
function withdrawn(services: AnsweringServices, decided: DecidedUse, why: Deny): AnsweredCheck {
  const { nowMs, randomBytes, monotonicMs } = services.ports;
  const { refusedAs } = decided.read.asked.call.signal;
  const decisionId = refusedAs ?? uuidV7(nowMs(), randomBytes(UUID_RANDOM_BYTES));
  const decision = refusedAs === undefined ? answeredAs(services, decided, why) : sentAtDeadline(decided);
  const check = { ...decided.check, decision, decisionId, withdraws: decided.check.decisionId };
  const place = placeOfCheck(services, traceOf(decided.read.asked).parent);
  traceWithdrawal(services, check, { decided, place });
  services.ledger.append(useRecord(check, place));
  const answer = answerTo(services, check, { traceId: place.traceId, transactionToken: null });
  return { decided, check, answer, answeredMs: monotonicMs() };
}
