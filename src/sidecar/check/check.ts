import { answerTo } from './answer.ts';
import type { Answer } from './answer.ts';
import { countUse, decideNow, outOfTime, sharedTokenOf, traceOf, keyOfCredential } from './decide-now.ts';
import type { DecidedUse } from './decide-now.ts';
import { currentProblem, openTask } from './task-facts.ts';
import { askingAgentOf, readCheck } from './read.ts';
import type { ReadCheck } from './read.ts';
import type { AskedCheck } from './asked-check.ts';
import { withNewProof } from './proof-elsewhere.ts';
import { reportFindings } from './report.ts';
import type { CheckServices } from './services.ts';
import { isCurrentEnough } from './current-enough.ts';
import { isHighRiskUse, linkTo, recordToSend, unrecorded } from './sent-record.ts';
import { settle, useToSettle } from './settle.ts';
import type { UseToSettle } from './settle.ts';
import { observe, traceUse, traceWithdrawal } from './observe.ts';
import type { AnsweredCheck } from './observe.ts';
import { isHandedToken, transactionToken } from './transaction-token.ts';
import { shownCheck } from '../../core/decide/decided-check.ts';
import { allReadings } from '../../core/action/http/http.ts';
import { taskTokenOf } from '../../core/decide/facts.ts';
import type { CallFacts } from '../../core/decide/facts.ts';
import { deny, isDeny } from '../../core/decision/decision.ts';
import type { Decision, Deny } from '../../core/decision/decision.ts';
import type { SettledUse } from '../../core/state/settling.ts';
import type { UnsentUse } from '../../core/state/store.ts';
import { UUID_RANDOM_BYTES, uuidV7 } from '../../core/decision/uuid.ts';
import { useRecord } from '../../core/ledger/use.ts';
import { Fault, mapIsolated } from '../../core/runtime/collections/map-isolated.ts';
import type { Isolated } from '../../core/runtime/collections/map-isolated.ts';
import { placeOfCheck } from '../../core/telemetry/spans/span.ts';

/** Answers to checks, each at the index of its check. An answer is a promise if the check waits for the disk or a signature. */
export type CheckAnswers = readonly Isolated<Answer | Promise<Answer>>[];

/** The imperative shell around `decide`. */
export interface Checks {
  /** Answers the checks of one turn of the event loop. An exception in one check affects that check alone. */
  answers(asked: readonly Isolated<AskedCheck>[]): CheckAnswers;
  /** Writes spans and metrics of the checks answered synchronously. Call it in the same turn, after those answers are sent. */
  afterwards(): void;
}

/**
 * Creates the checks. A check is asked, read, decided and answered. Each stage runs for all checks of a turn before the next stage starts:
 * the code of all stages together does not fit into the first-level caches of a processor.
 */
export function checksWith(services: CheckServices): Checks {
  let answered: Isolated<AnsweredCheck>[] = [];
  return {
    answers: (asked) => {
      const read: Isolated<ReadCheck>[] = mapIsolated(asked, (one) => admitted(services, readCheck(services, one)));
      const decided = mapIsolated(read, (one) => whenOpen(services, one));
      const done = mapIsolated(decided, (one) => answerCheck(services, one));
      answered = answered.concat(done.filter((one) => !('then' in one) && !isTooOften(one)) as typeof answered);
      return mapIsolated(done, (one) => ('then' in one ? late(services, one) : one.answer));
    },
    afterwards: () => {
      const over = answered;
      answered = [];
      const traced = mapIsolated(over, (one) => traceUse(services, one));
      const told = mapIsolated(traced, (one) => observe(services, one));
      const fault = told.find((one) => one instanceof Fault);
      if (fault !== undefined) throw fault.error;
    },
  };
}

/** Marks a check whose agent exceeds its rate limit. Such a check is neither decided nor recorded. */
const tooOften = new Error('an agent asks too often');

/** Whether a check was rejected because its agent exceeds its rate limit. */
export const isTooOften = (one: unknown): boolean => one instanceof Fault && one.error === tooOften;

const admitted = ({ admits }: CheckServices, read: ReadCheck): Isolated<ReadCheck> =>
  admits?.(askingAgentOf(read.reading)) === false ? new Fault(tooOften) : read;

/** Decides a check, once its task is known here, and its proof is known to be new. All checks of a turn ask for their tasks before any of them waits. */
function whenOpen(services: CheckServices, read: ReadCheck): DecidedUse | Promise<DecidedUse> {
  const opened = openTask(services, read.reading);
  const proven = withNewProof(services, read);
  if (proven !== null) return Promise.all([proven, opened]).then(([shown]) => decideCheck(services, shown));
  return opened === null ? decideCheck(services, read) : opened.then(() => decideCheck(services, read));
}

/**
 * Decides a check and counts the use. A use that takes nothing from its task is decided synchronously, by one look at the task. A use that
 * spends a budget or adds to the history waits until the state has accepted it.
 */
function decideCheck(services: CheckServices, read: ReadCheck): DecidedUse | Promise<DecidedUse> {
  const { loop, ports } = services;
  const beganMs = ports.monotonicMs();
  const use = countUse(services, read);
  const decided = decideNow(services, read, use);
  const going = goOn(services, decided);
  const { decisionId } = decided.check;
  loop?.held('decode', read.asked.decodeMs ?? 0, decisionId);
  loop?.held('read', read.readMs, decisionId);
  loop?.held('decide', ports.monotonicMs() - beganMs, decisionId);
  return going;
}

/** Continues after the decision, up to the first wait. */
function goOn(services: CheckServices, decided: DecidedUse): DecidedUse | Promise<DecidedUse> {
  const { read } = decided;
  shareUse(services, decided, rememberPlace(services, decided));
  const toSettle = useToSettle(decided.check, (facts) => isCurrentEnough(services, read, facts));
  if (toSettle === null) return keepUse(services, decided);
  return isDeny(toSettle) ? withoutCredential(services, toSettle, decided) : settleUse(services, decided, toSettle);
}

/** A use that settles nothing. At a sidecar, an authority commits the record of a use of high risk (which has no task here). */
function keepUse(services: CheckServices, decided: DecidedUse): DecidedUse | Promise<DecidedUse> {
  const shown = withoutCredential(services, decided.check.decision, decided);
  const record = recordToSend(services, decided);
  if (record === null || services.sidecar === null) return shown;
  if (isDeny(record)) return { ...shown, check: { ...shown.check, decision: record } };
  return services.sidecar
    .keep(shown.check.decisionId, record)
    .then((failure) => ({ ...shown, sent: { record, problem: failure === null ? null : unrecorded } }));
}

/** Settles a use. If the history of its task changed after the decision, the use is decided again, once. */
async function settleUse(services: CheckServices, decided: DecidedUse, toSettle: UseToSettle): Promise<DecidedUse> {
  const first = await settleOnce(services, decided, toSettle);
  if (first !== 'history-changed') return first;
  const again = decideNow(services, decided.read, decided.use);
  const toSettleAgain = useToSettle(again.check, (facts) => isCurrentEnough(services, decided.read, facts));
  if (toSettleAgain === null || isDeny(toSettleAgain))
    return withoutCredential(services, toSettleAgain ?? again.check.decision, again);
  const second = await settleOnce(services, again, toSettleAgain);
  return second === 'history-changed' ? withoutCredential(services, changedTwice, again) : second;
}

/** Settles a decided use; at a sidecar, a use of high risk together with its record. */
async function settleOnce(
  services: CheckServices,
  decided: DecidedUse,
  { use, token }: UseToSettle,
): Promise<DecidedUse | 'history-changed'> {
  const record = recordToSend(services, decided);
  if (record !== null && isDeny(record)) return withoutCredential(services, record, decided);
  const settled = await settle(services, { token, use: record === null ? use : { ...use, record } });
  if (settled === 'history-changed') return settled;
  const problem = settled !== null && 'unknown' in settled ? settled.unknown : null;
  const refusal = settled !== null && isDeny(settled) ? settled : null;
  // If the result is unknown, the use may be settled.
  const done = refusal === null ? { ...decided, taken: unsentUseOf(use) } : decided;
  if (record === null || refusal !== null) {
    return withoutCredential(services, refusal ?? problem ?? done.check.decision, done);
  }
  return { ...withoutCredential(services, done.check.decision, done), sent: { record, problem } };
}

/** What a use takes, without its record. */
const unsentUseOf = ({ decisionId, key, jtiDigest, spends }: SettledUse): UnsentUse => ({
  decisionId,
  key: { issuer: key.issuer, id: key.id },
  jtiDigest,
  spends,
});

const changedTwice = deny('task.state-unavailable', 'the history of the task changed twice while the use was decided');

/**
 * Remembers where an allowed token was used. INVARIANT: call it synchronously after the use was counted, so that no second use is
 * classified in between. Never call it for a use that the policies deny: that would make a thief's location familiar.
 *
 * @returns whether the token was used at a new place
 */
function rememberPlace({ uses }: CheckServices, { check, use }: DecidedUse): boolean {
  const key = keyOfCredential(use.credential);
  return key !== null && use.before !== null && !isDeny(check.decision) && uses.allowed(key, use.before);
}

function shareUse({ sharing }: CheckServices, { use }: DecidedUse, isNewPlace: boolean): void {
  const token = sharing === undefined ? null : sharedTokenOf(use.credential);
  if (token !== null) sharing?.used(token, { isNewPlace });
}

/** The check with its final decision and without any credential. Span, record, log and answer are made of this alone. */
function withoutCredential(services: CheckServices, decision: Decision, decided: DecidedUse): DecidedUse {
  const check = shownCheck({ ...decided.check, decision }, services.digestOf);
  reportFindings(services, check, decided.read.reading);
  return { ...decided, check };
}

/** Records a decided check and answers it. An allow of a high-risk action waits until its record is on disk. */
function answerCheck(
  services: CheckServices,
  decided: DecidedUse | Promise<DecidedUse>,
): AnsweredCheck | Promise<AnsweredCheck> {
  if ('then' in decided) return decided.then((settled) => answerLate(services, settled));
  if (isHighRiskUse(decided.check) || isHandedToken(decided.check)) return answerLate(services, decided);
  const beganMs = services.ports.monotonicMs();
  const answered = answerNow(services, decided);
  services.loop?.held('answer', answered.answeredMs - beganMs, answered.check.decisionId);
  return answered;
}

function answerNow(services: CheckServices, decided: DecidedUse): AnsweredCheck {
  const isRecorded = services.ledger.append(useRecord(decided.check, decided.use.place));
  return isRecorded || isDeny(decided.check.decision)
    ? answeredWith(services, decided, null)
    : withdrawn(services, decided, unrecorded);
}

/** INVARIANT: nothing is awaited between the last look at the task and the answer. */
async function answerLate(services: CheckServices, settled: DecidedUse): Promise<AnsweredCheck> {
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
  if (!isRecorded) return withdrawn(services, decided, unrecorded);
  const { facts } = read.asked;
  const requestIp = isDeny(facts) ? null : facts.sourceAddress;
  const handed = await transactionToken(services, check, { span: use.place, requestIp });
  if (isDeny(handed)) return withdrawn(services, decided, handed);
  const token = taskTokenOf(check.facts);
  const ended = token === null ? null : currentProblem(services, token);
  const problem = isTooLate(decided) ? outOfTime : ended;
  return problem === null ? answeredWith(services, decided, handed) : withdrawn(services, decided, problem);
}

/** Whether a use was allowed only after its check had been abandoned. Its call was not let through. */
const isTooLate = ({ check, read }: DecidedUse): boolean => !isDeny(check.decision) && read.asked.call.signal.aborted;

/** A denial of a call that was already answered at its deadline: the record gets the id and the reason of that answer. */
function asAnswered(decided: DecidedUse): DecidedUse {
  const { refusedAs } = decided.read.asked.call.signal;
  return refusedAs === undefined || !isDeny(decided.check.decision)
    ? decided
    : { ...decided, check: { ...decided.check, decision: outOfTime, decisionId: refusedAs } };
}

/** Records a use. If an authority has committed the record, the ledger gets a link to it. */
function recorded({ ledger }: CheckServices, { check, use, sent }: DecidedUse): boolean | Promise<boolean> {
  if (sent !== undefined) return ledger.append(linkTo(sent.record, check.decisionId));
  const record = useRecord(check, use.place);
  return isHighRiskUse(check) ? ledger.durable(record) : ledger.append(record);
}

function answeredWith(services: CheckServices, decided: DecidedUse, handed: string | null): AnsweredCheck {
  const { check, use } = decided;
  if (!isDeny(check.decision)) rememberCall(services, check.facts);
  const answer = answerTo(services, check, { traceId: use.place.traceId, transactionToken: handed });
  return { decided, check, answer, answeredMs: services.ports.monotonicMs() };
}

/** Remembers an allowed call that a later message can continue. INVARIANT: before the answer, since the message may come right after it. */
function rememberCall({ asking }: CheckServices, { action, caller, credential, nowMs }: CallFacts): void {
  if (asking === undefined || isDeny(action) || isDeny(caller) || isDeny(credential)) return;
  for (const reading of allReadings(action)) asking.allowed(reading, { caller, credential }, nowMs);
}

/**
 * Replaces an allow by a denial with its own decision id, span and record. The allow may already be on disk, and one id must not name two
 * decisions. Outcomes are joined with the denial, since that is what was answered. If the call was answered at its deadline, the denial has
 * the id of that answer.
 */
function withdrawn(services: CheckServices, decided: DecidedUse, why: Deny): AnsweredCheck {
  const { nowMs, randomBytes, monotonicMs } = services.ports;
  const { refusedAs } = decided.read.asked.call.signal;
  const decisionId = refusedAs ?? uuidV7(nowMs(), randomBytes(UUID_RANDOM_BYTES));
  const problem = refusedAs === undefined ? why : outOfTime;
  const check = { ...decided.check, decision: problem, decisionId, withdraws: decided.check.decisionId };
  const place = placeOfCheck(services, traceOf(decided.read.asked).parent);
  traceWithdrawal(services, check, { decided, place });
  services.ledger.append(useRecord(check, place));
  const answer = answerTo(services, check, { traceId: place.traceId, transactionToken: null });
  return { decided, check, answer, answeredMs: monotonicMs() };
}

/** Writes span and metrics of a check that waited, as soon as it is answered. */
async function late(services: CheckServices, waiting: Promise<AnsweredCheck>): Promise<Answer> {
  const answered = await waiting;
  observe(services, traceUse(services, answered));
  return answered.answer;
}
