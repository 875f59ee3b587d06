import type { Answer } from './answer.ts';
import { traceOf } from './decide-now.ts';
import type { DecidedUse } from './decide-now.ts';
import type { CheckServices } from './services.ts';
import { isDeny } from '../../core/decision/decision.ts';
import { shownDecision } from '../../core/decide/decided-check.ts';
import type { DecidedCheck } from '../../core/decide/decided-check.ts';
import type { CheckToTrace } from './trace/check-to-trace.ts';
import { traceCheck } from '../../core/telemetry/spans/span.ts';
import type { CheckPlace } from '../../core/telemetry/spans/span.ts';

/** A check with its answer. */
export interface AnsweredCheck {
  readonly decided: DecidedUse;
  /** The check as answered: `decided.check`, or the denial that replaced its allow. */
  readonly check: DecidedCheck;
  readonly answer: Answer;
  /** Set if the call passed without a record, because it is only observed. */
  readonly isUnrecorded?: true;
  /** Milliseconds on the monotonic clock. */
  readonly answeredMs: number;
}

/** The services that write the span of a check. */
type TracingServices = Pick<CheckServices, 'ports' | 'spans' | 'spanArguments'>;

/** The services that learn of an answered check. */
export type ObservingServices = TracingServices &
  Pick<CheckServices, 'outcomes' | 'onChecked' | 'traces' | 'settling' | 'digestOf' | 'loop'>;

/** Writes the span of a check. */
export function traceUse(
  services: TracingServices & Pick<CheckServices, 'loop'>,
  answered: AnsweredCheck,
): AnsweredCheck {
  const { decided } = answered;
  const beganMs = services.ports.monotonicMs();
  traceWith(services, decided.check, { decided, place: decided.use.place });
  services.loop?.held('report', services.ports.monotonicMs() - beganMs, answered.check.decisionId);
  return answered;
}

/** Writes the span of the denial that replaced an allow. It links to the span of that allow. */
export const traceWithdrawal = (
  services: TracingServices,
  check: DecidedCheck,
  { decided, place }: { readonly decided: DecidedUse; readonly place: CheckPlace },
): void => traceWith(services, check, { decided, place, withdraws: decided.use.place });

function traceWith(
  services: TracingServices,
  check: DecidedCheck,
  on: { readonly decided: DecidedUse; readonly place: CheckPlace; readonly withdraws?: CheckPlace },
): void {
  const { read, use } = on.decided;
  traceCheck(services, check, {
    place: on.place,
    application: traceOf(read.asked).application,
    previousUse: use.before?.previous ?? null,
    startedMs: read.clocks.monotonicMs,
    ...(on.withdraws === undefined ? {} : { withdraws: on.withdraws }),
  });
}

/** Reports an answered check to outcomes, metrics, the decision log and subscriptions to traces. */
export function observe(services: ObservingServices, answered: AnsweredCheck): void {
  const beganMs = services.ports.monotonicMs();
  observed(services, answered);
  services.loop?.held('report', services.ports.monotonicMs() - beganMs, answered.check.decisionId);
}

function observed(services: ObservingServices, answered: AnsweredCheck): void {
  const { outcomes, onChecked, digestOf, traces } = services;
  const { decided, check, answer, answeredMs, isUnrecorded } = answered;
  const { read, byPolicy, beganMs, gatheredMs, decidedMs } = decided;
  // If the client is gone, the answer is discarded and the proxy's log cannot name it.
  if (!read.asked.call.signal.aborted) outcomes.answered(answer);
  const { callName = null } = isDeny(read.asked.facts) ? {} : read.asked.facts;
  const undo = undoOf(services, decided);
  if (callName !== null || undo !== null)
    outcomes.decided({ decisionId: check.decisionId, callName, span: decided.use.place, undo });
  const took = { gatherMs: gatheredMs - beganMs, decideMs: decidedMs - gatheredMs, settleMs: answeredMs - decidedMs };
  const finished = { ...check, decided: shownDecision(byPolicy, digestOf), traceId: answer.traceId, took };
  onChecked(isUnrecorded === true ? { ...finished, isUnrecorded } : finished);
  if (traces?.isAwaited === true) traces.checked(toTrace(services, answered));
}

/** Gives back what a use took; `null` if it took nothing. A failure leaves it taken. */
function undoOf({ settling }: Pick<ObservingServices, 'settling'>, { taken }: DecidedUse): (() => void) | null {
  return taken === undefined || taken.spends.length === 0 ? null : () => void settling.giveBack(taken);
}

function toTrace(
  { digestOf }: Pick<ObservingServices, 'digestOf'>,
  { decided, check, answer, answeredMs }: AnsweredCheck,
): CheckToTrace {
  const { read, byPolicy, beganMs, gatheredMs, decidedMs } = decided;
  return {
    asked: read.asked,
    check,
    byPolicy: shownDecision(byPolicy, digestOf),
    traceId: answer.traceId,
    ...(answer.form === undefined ? {} : { form: answer.form }),
    isTokenHanded: answer.transactionToken !== null,
    readMs: read.readMs,
    taskMs: gatheredMs - beganMs - read.readMs,
    decideMs: decidedMs - gatheredMs,
    settleMs: answeredMs - decidedMs,
    totalMs: answeredMs - read.clocks.monotonicMs,
  };
}
