import { answerUse } from './answer-use.ts';
import type { Answer } from './answer.ts';
import { decideUse } from './decide-use.ts';
import { askingAgentOf, knownPolicies, readCheck } from './read.ts';
import type { ReadCheck } from './read.ts';
import type { AskedCheck } from './asked-check.ts';
import { modeOfRead, passingFault } from './passing-fault.ts';
import type { PassingOptions } from './passing-fault.ts';
import type { CheckServices } from './services.ts';
import { observe, traceUse } from './observe.ts';
import type { AnsweredCheck, ObservingServices } from './observe.ts';
import { observedBy } from '../../core/decide/mode.ts';
import { isDeny } from '../../core/decision/decision.ts';
import type { Orders } from '../../core/order/orders.ts';
import { Fault, mapIsolated } from '../../core/runtime/collections/map-isolated.ts';
import type { Isolated } from '../../core/runtime/collections/map-isolated.ts';

/** Answers to checks, each at the index of its check. An answer is a promise if the check waits for the disk or a signature. */
export type CheckAnswers = readonly Isolated<Answer | Promise<Answer>>[];

/** The imperative shell around `decide`. */
export interface Checks {
  /** Answers the checks of one turn of the event loop. An exception in one check affects that check alone. */
  answers(asked: readonly Isolated<AskedCheck>[]): CheckAnswers;
  /** Whether any call is only observed now. */
  isObserving(): boolean;
  /**
   * The answer that lets an observed call pass if its check threw, was not decided (`why`), or not in time; `null` if the call is
   * refused. Never throws.
   */
  passing(asked: Isolated<AskedCheck>, of?: Omit<PassingOptions, 'read'>): Answer | null;
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
      const decided = mapIsolated(read, (one) => decideUse(services, one));
      const done = mapIsolated(decided, (one) => answerUse(services, one));
      answered = answered.concat(done.filter((one) => !('then' in one) && !isTooOften(one)) as typeof answered);
      return mapIsolated(done, (one) => ('then' in one ? late(services, one) : one.answer));
    },
    isObserving: () => {
      const policies = knownPolicies(services);
      const { states } = services;
      return !isDeny(policies) && observedBy(policies, states.orders(), states.clocks()) !== null;
    },
    passing: (asked, of = {}) => {
      const [answer] = mapIsolated([asked], (one) =>
        passingFault(services, one, { ...of, read: (again) => readCheck(services, again) }),
      );
      return answer === undefined || answer instanceof Fault ? null : answer;
    },
    afterwards: () => {
      const over = answered;
      answered = [];
      const traced = mapIsolated(over, (one) => traceUse(services, one));
      const observed = mapIsolated(traced, (one) => observe(services, one));
      const fault = observed.find((one) => one instanceof Fault);
      if (fault !== undefined) throw fault.error;
    },
  };
}

/** Marks a check whose agent exceeds its rate limit. Such a check is neither decided nor recorded, unless its call is only observed. */
const tooOften = new Error('an agent asks too often');

/** Whether a check was rejected because its agent exceeds its rate limit. */
export const isTooOften = (one: unknown): boolean => one instanceof Fault && one.error === tooOften;

const admitted = (
  { admits, states }: Pick<CheckServices, 'admits' | 'states'>,
  read: ReadCheck,
): Isolated<ReadCheck> =>
  admits?.(askingAgentOf(read.reading)) === false ? tooOftenRead(read, states.orders()) : read;

/** Above its rate, an agent whose calls are only observed is decided all the same, and passes unless it is denied while observing too. */
const tooOftenRead = (read: ReadCheck, orders: Orders): Isolated<ReadCheck> =>
  modeOfRead(read, orders) === null ? new Fault(tooOften) : { ...read, isTooOften: true };

/** Writes span and metrics of a check that waited, as soon as it is answered. */
async function late(services: ObservingServices, waiting: Promise<AnsweredCheck>): Promise<Answer> {
  const answered = await waiting;
  observe(services, traceUse(services, answered));
  return answered.answer;
}
