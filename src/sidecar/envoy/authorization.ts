/** The methods of ext_authz: a request is decoded, checked and answered. */
import { isTooOften } from '../check/check.ts';
import type { Checks } from '../check/check.ts';
import type { Answer } from '../check/answer.ts';
import type { AskedCheck, CheckFacts, RefusedRequest } from '../check/asked-check.ts';
import { deny, isDeny } from '../../core/decision/decision.ts';
import type { ReasonCode } from '../../core/decision/reasons.ts';
import { decodedCheckRequestFrom } from './check/check-request.ts';
import { checkFactsFrom, type RequestRules } from './check/request.ts';
import { refusedRequest } from './check/refused-request.ts';
import { checkResponseFrom, preparedDenial, type ResponseOptions } from './check/response.ts';
import { Fault, mapIsolated } from '../../core/runtime/collections/map-isolated.ts';
import type { Isolated } from '../../core/runtime/collections/map-isolated.ts';
import { FairRate } from '../../core/runtime/collections/fair-rate.ts';
import type { RefusalCause, Refuse } from './check/refusal.ts';
import type { CheckHandler, CheckMessage } from './server-options.ts';

/** What the handler needs besides the checks. */
export interface AuthorizationOptions {
  readonly rules: RequestRules;
  readonly response: ResponseOptions;
  /** The bytes of a denial for a check that threw; see `refusalsFrom`. */
  readonly refuse: Refuse;
  /**
   * The agent of a CheckRequest according to the proxy. Agents share the rate at which refused checks are read. Default: all
   * checks count as one agent's.
   */
  readonly agentIn?: (message: Uint8Array) => string;
  /** Default: decoding is not timed. */
  readonly monotonicMs?: () => number;
  /** Called with what a check threw. */
  readonly onFault?: (error: unknown) => void;
}

/**
 * How many refused checks are read per second, to see if their calls are only observed. All agents share this rate fairly.
 * Reading costs about as much as deciding: without a bound, refusing would no longer relieve an overloaded process.
 */
const UNDECIDED_PER_SECOND = 1_000;

/** Decodes, checks and encodes. Never throws or rejects: every error ends in a denial. */
export function authorizationHandler(checks: Checks, options: AuthorizationOptions): CheckHandler {
  const { rules, response, monotonicMs = () => 0, agentIn = () => '' } = options;
  const failed = (error: unknown, asked: Isolated<AskedCheck> | undefined): Uint8Array => {
    options.onFault?.(error);
    return (asked === undefined ? null : passed(asked)?.bytes) ?? options.refuse('failed');
  };
  const reading = new FairRate({ perSecond: UNDECIDED_PER_SECOND, monotonicMs });
  /** The answer that lets an observed call pass, with its decision id; `null` if it is refused. */
  const passed = (
    asked: Isolated<AskedCheck>,
    of?: Parameters<Checks['passing']>[1],
  ): { readonly bytes: Uint8Array; readonly decisionId: string } | null => {
    try {
      const answer = checks.passing(asked, of);
      return answer === null ? null : { bytes: checkResponseFrom(answer, response), decisionId: answer.decisionId };
    } catch {
      return null;
    }
  };
  const encode = (
    answer: Answer | Promise<Answer>,
    asked: Isolated<AskedCheck> | undefined,
  ): Uint8Array | Promise<Uint8Array> =>
    'then' in answer
      ? answer.then((late) => checkResponseFrom(late, response)).catch((error: unknown) => failed(error, asked))
      : checkResponseFrom(answer, response);
  return {
    answers: (calls) => {
      const asked: readonly Isolated<AskedCheck>[] = mapIsolated(calls, (call) => {
        const beganMs = monotonicMs();
        const facts = factsOf(call, rules);
        return { facts, call, decodeMs: monotonicMs() - beganMs };
      });
      const encoded = mapIsolated(checks.answers(asked), (answer, index) => encode(answer, asked[index]));
      return encoded.map((bytes, index) => {
        if (isTooOften(bytes)) return options.refuse('agent');
        return bytes instanceof Fault ? failed(bytes.error, asked[index]) : bytes;
      });
    },
    passing: (call, cause, underWay) => {
      if (!checks.isObserving() || !reading.take(agentIn(call.message))) return null;
      const why = deny(REASONS[cause], 'the check was refused without being decided');
      const asked = { facts: factsOf(call, rules), call, decodeMs: 0 };
      const passing = passed(asked, { why, isUnderWay: underWay !== undefined });
      if (passing === null) return null;
      if (underWay !== undefined) {
        underWay.refusedAs = passing.decisionId;
        underWay.isPassed = true;
      }
      return passing.bytes;
    },
    afterwards: () => checks.afterwards(),
  };
}

function factsOf({ message, traceparent }: CheckMessage, rules: RequestRules): CheckFacts | RefusedRequest {
  const request = decodedCheckRequestFrom(message);
  if (!isDeny(request)) return checkFactsFrom(request, traceparent, rules);
  const { rest, ...why } = request;
  return rest === undefined ? why : refusedRequest(why, rest, rules);
}

const REASONS: Readonly<Record<RefusalCause, ReasonCode>> = {
  full: 'overloaded',
  late: 'overloaded',
  agent: 'overloaded',
  deadline: 'check.deadline',
  failed: 'internal',
  unreadable: 'request.malformed',
  'too-large': 'request.too-large',
};

/**
 * Pre-encoded denials for the server. Each answer gets its own decision id and is reported to `onRefusal`, because no check
 * recorded it. A check that is still under way gets the id, and records its decision under it.
 */
export function refusalsFrom(options: {
  readonly response: ResponseOptions;
  /** A new UUID. */
  readonly newDecisionId: () => string;
  readonly onRefusal?: (
    cause: RefusalCause,
    reason: ReasonCode,
    of: { readonly decisionId: string; /** Whether a check records it. */ readonly isUnderWay: boolean },
  ) => void;
}): Refuse {
  const reasons = new Set(Object.values(REASONS));
  const prepared = new Map([...reasons].map((reason) => [reason, preparedDenial(reason, options.response)]));
  return (cause, call) => {
    const reason = REASONS[cause];
    const decisionId = options.newDecisionId();
    if (call !== undefined) call.refusedAs = decisionId;
    options.onRefusal?.(cause, reason, { decisionId, isUnderWay: call !== undefined });
    const denial = prepared.get(reason);
    if (denial === undefined) throw new Error('no denial was prepared');
    return denial(decisionId);
  };
}
