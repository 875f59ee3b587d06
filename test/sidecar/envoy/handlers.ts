import type { Checks } from '../../../src/sidecar/check/check.ts';
import type { Answer } from '../../../src/sidecar/check/answer.ts';
import type { CheckCall, CheckFacts } from '../../../src/sidecar/check/asked-check.ts';
import type { Deny } from '../../../src/core/decision/decision.ts';
import type { CheckHandler, CheckMessage } from '../../../src/sidecar/envoy/server-options.ts';
import { mapIsolated } from '../../../src/core/runtime/collections/map-isolated.ts';

/** Answers one check from its bytes. */
export type OneHandler = (message: Uint8Array, call: Omit<CheckMessage, 'message'>) => Uint8Array | Promise<Uint8Array>;

/** A handler that answers one check after the other. */
export const oneByOne = (handler: OneHandler): CheckHandler => ({
  answers: (checks) => checks.map((check) => handler(check.message, check)),
  afterwards: () => undefined,
});

/** Answers one check from its facts. */
export type Check = (facts: CheckFacts | Deny, call: CheckCall) => Answer | Promise<Answer>;

/** Checks answered by a function of the test. */
export const checksBy = (check: Check): Checks => ({
  answers: (asked) => mapIsolated(asked, ({ facts, call }) => check(facts, call)),
  isObserving: () => false,
  passing: () => null,
  afterwards: () => undefined,
});

/** The handler of a check, for one message. */
export const oneOf =
  (handler: CheckHandler): OneHandler =>
  (message, { traceparent, deadlineMs, signal }) => {
    const [answer] = handler.answers([{ message, traceparent, deadlineMs, signal }]);
    if (answer === undefined) throw new Error('no answer');
    return answer;
  };
