import { answerTo } from './answer.ts';
import type { Answer, AnswerServices } from './answer.ts';
import type { AskedCheck } from './asked-check.ts';
import { traceOf } from './decide-now.ts';
import type { ReadCheck } from './read.ts';
import type { CheckServices } from './services.ts';
import { taskFactsOf, noTask } from './task-facts.ts';
import { shownCheck, shownDecision } from '../../core/decide/decided-check.ts';
import type { DecidedCheck } from '../../core/decide/decided-check.ts';
import { enforce } from '../../core/decide/enforce.ts';
import { taskTokenOf } from '../../core/decide/facts.ts';
import type { CallFacts } from '../../core/decide/facts.ts';
import { heldWhileObserved } from '../../core/decide/held-while-observed.ts';
import { modeOf } from '../../core/decide/mode.ts';
import type { Mode } from '../../core/decide/mode.ts';
import type { Orders } from '../../core/order/orders.ts';
import { deny, isDeny } from '../../core/decision/decision.ts';
import type { Deny } from '../../core/decision/decision.ts';
import { UUID_RANDOM_BYTES, uuidV7 } from '../../core/decision/uuid.ts';
import { useRecord } from '../../core/ledger/use.ts';
import { placeOfCheck, traceCheck } from '../../core/telemetry/spans/span.ts';
import type { CheckPlace } from '../../core/telemetry/spans/span.ts';

/** What covers a check that was read; `null` if it is enforced. */
export const modeOfRead = ({ reading, clocks, knownBy }: ReadCheck, orders: Orders): Mode | null =>
  modeOf({ ...reading, orders, nowMs: clocks.wallMs, floorMs: clocks.floorMs }, knownBy);

/** The services that answer an observed check which is not decided. */
export type PassingServices = AnswerServices &
  Pick<CheckServices, 'ports' | 'ledger' | 'digestOf' | 'spans' | 'states' | 'outcomes' | 'onChecked'>;

/** How a check is passed without its decision. */
export interface PassingOptions {
  /** Reads the check, again if it threw; what it throws is the caller's. */
  readonly read: (asked: AskedCheck) => ReadCheck;
  /** Why it is not decided; default `internal`. */
  readonly why?: Deny | undefined;
  /** Whether the check goes on being decided, and is recorded then. */
  readonly isUnderWay?: boolean;
}

const failed = deny('internal', 'the check failed');

/**
 * The answer that lets an observed call pass if its check threw, or is not decided: a fault of Remit must not be an outage.
 * `null` if the call is enforced; if a stop, its token or a forbid denies it even while observed, by what this process knows; and
 * if it carries a proof of possession, which can be judged only once. It is recorded, traced and counted like a check that was
 * decided.
 */
export function passingFault(
  services: PassingServices,
  asked: AskedCheck,
  { read, why = failed, isUnderWay = false }: PassingOptions,
): Answer | null {
  const again = read(asked);
  const facts = factsOf(services, again);
  const mode = modeOfRead(again, facts.orders);
  const decision = enforce(why, mode);
  if (mode === null || isDeny(decision) || facts.presented.proof !== null) return null;
  const { clocks, policies, knownBy } = again;
  const { binding } = services;
  if (heldWhileObserved(facts, { binding, policies: knownBy }) !== null) return null;
  const place = placeOfCheck(services, traceOf(asked).parent);
  const [policySet, policyGeneration] = isDeny(policies) ? [null, null] : [policies.hash, policies.generation];
  const decisionId = uuidV7(clocks.wallMs, services.ports.randomBytes(UUID_RANDOM_BYTES));
  const undecided = { decisionId, decision, mode, facts, policySet, policyGeneration, cache: 'bypass' } as const;
  const check: DecidedCheck = shownCheck(undecided, services.digestOf);
  const answer = answerTo(services, check, { traceId: place.traceId, transactionToken: null });
  if (!isUnderWay) tell(services, check, { again, place });
  services.outcomes.answered(answer);
  return answer;
}

/** The facts by which a token is judged at once. Its use is not counted, since nothing is decided by it. */
function factsOf({ states }: Pick<PassingServices, 'states'>, { reading, clocks }: ReadCheck): CallFacts {
  const { circumstances: _circumstances, ...facts } = reading;
  const token = taskTokenOf(reading);
  const state = token === null ? noTask : taskFactsOf({ states }, token);
  const orders = states.orders();
  return { ...facts, ...state, orders, use: 0, reuse: [], nowMs: clocks.wallMs, floorMs: clocks.floorMs };
}

/** Records, traces and counts a check that passes. */
function tell(
  services: PassingServices,
  check: DecidedCheck,
  { again, place }: { readonly again: ReadCheck; readonly place: CheckPlace },
): void {
  const isRecorded = services.ledger.append(useRecord(check, place));
  const { application } = traceOf(again.asked);
  const startedMs = again.clocks.monotonicMs;
  traceCheck(services, check, { place, application, previousUse: null, startedMs });
  services.onChecked({
    ...check,
    decided: shownDecision(check.decision, services.digestOf),
    traceId: place.traceId,
    took: { gatherMs: again.readMs, decideMs: 0, settleMs: 0 },
    ...(isRecorded ? {} : { isUnrecorded: true }),
  });
}
