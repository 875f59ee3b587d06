/**
 * The closed list of reasons for a denial. A code is the switch key, the metric label, the log field, the `x-remit-decision`
 * header and the anchor of its documentation; its entry holds everything about it.
 */

import type { NextStep } from './next-step.ts';

/** What a reason means to the client that was denied. */
export interface Reason {
  /** google.rpc.Code of the CheckResponse and of a denied gRPC call; never 0, since 0 means allow. */
  readonly grpcStatus: 7 | 14 | 16;
  /**
   * HTTP status of the denial: 401 if a new token helps, 403 for policy, scope, budgets and stopped tasks, 503 for faults of
   * Remit. INVARIANT: a stopped task is never a 401, because stock OAuth clients answer a 401 by declaring a new task, with a
   * fresh budget; a spent budget is never a 429, RESOURCE_EXHAUSTED or UNAVAILABLE, because retry policies repeat those.
   */
  readonly httpStatus: 400 | 401 | 403 | 413 | 503;
  /** Text for the client. Never policy text, a claim or anything else that helps an attacker. */
  readonly text: string;
  /**
   * The `error` of the `WWW-Authenticate: Bearer` challenge (RFC 6750 section 3.1). `''` is a challenge without an error, for a
   * call without any credential; `null` is no challenge.
   */
  readonly challenge: '' | 'invalid_token' | 'insufficient_scope' | null;
  /** Whether the same call may succeed when retried a moment later. Sent as `retry-after`. */
  readonly retryable: boolean;
  /** What the client can do now; the answer contains the word and its sentence. */
  readonly next: NextStep;
}

const PERMISSION_DENIED = 7;
const UNAVAILABLE = 14;
const UNAUTHENTICATED = 16;

const request = (httpStatus: 400 | 403 | 413, text: string, next: NextStep = 'change_arguments') =>
  ({ grpcStatus: PERMISSION_DENIED, httpStatus, text, challenge: null, retryable: false, next }) as const;
/** A fault of the deployment: nothing that the agent sends mends it. */
const identity = (text: string) =>
  ({
    grpcStatus: PERMISSION_DENIED,
    httpStatus: 403,
    text,
    challenge: null,
    retryable: false,
    next: 'ask_person',
  }) as const;
const token = (text: string, next: NextStep = 'new_token') =>
  ({
    grpcStatus: UNAUTHENTICATED,
    httpStatus: 401,
    text,
    challenge: 'invalid_token',
    retryable: false,
    next,
  }) as const;
/** The task was stopped, or an operator stopped more than it. No challenge: a new token would not help. */
const stopped = (text: string, next: NextStep) =>
  ({ grpcStatus: PERMISSION_DENIED, httpStatus: 403, text, challenge: null, retryable: false, next }) as const;
const scope = (text: string) =>
  ({
    grpcStatus: PERMISSION_DENIED,
    httpStatus: 403,
    text,
    challenge: 'insufficient_scope',
    retryable: false,
    next: 'declare_again',
  }) as const;
const policy = (text: string, next: NextStep) =>
  ({ grpcStatus: PERMISSION_DENIED, httpStatus: 403, text, challenge: null, retryable: false, next }) as const;
/** A person decides whether there is more: a newly declared task would have a fresh budget. */
const budget = (text: string) =>
  ({
    grpcStatus: PERMISSION_DENIED,
    httpStatus: 403,
    text,
    challenge: null,
    retryable: false,
    next: 'ask_person',
  }) as const;
const fault = (text: string) =>
  ({
    grpcStatus: UNAVAILABLE,
    httpStatus: 503,
    text,
    challenge: null,
    retryable: true,
    next: 'retry_later',
  }) as const;

/** Every reason by its code, `stage.problem`, in the order of the data path. */
export const reasons = {
  'request.malformed': request(400, 'the request could not be read'),
  'request.not-canonical': request(400, 'the request has more than one reading'),
  'request.unsupported': request(403, 'this kind of request is not supported', 'ask_person'),
  'request.body-incomplete': request(413, 'the request body did not arrive whole'),
  'request.too-large': request(413, 'the request is larger than allowed'),

  'identity.missing': identity('the caller presented no workload identity'),
  'identity.invalid': identity('the workload identity is not valid'),
  'identity.untrusted-domain': identity('the workload identity belongs to a trust domain that is not accepted here'),
  'identity.conflict': identity('the sources of the workload identity disagree'),

  'token.missing': { ...token('a task token is required'), challenge: '' },
  'token.malformed': token('the token could not be read'),
  'token.algorithm': token('the token is signed with an algorithm that is not accepted', 'ask_person'),
  'token.signature': token('the signature of the token could not be verified'),
  'token.issuer': token('the issuer of the token is not accepted'),
  'token.audience': token('the token was issued for another resource'),
  'token.expired': token('the token has expired'),
  'token.not-yet-valid': token('the token is not valid yet'),
  'token.lifetime': token('the token lives longer than allowed', 'ask_person'),
  'token.binding': token('the token is bound to another workload'),
  'token.proof': token('the proof of possession is not valid'),
  'token.proof-nonce': token('the proof of possession needs a nonce of this server'),
  'token.replay-memory-full': fault('no more proofs of possession can be remembered at the moment'),
  'token.revoked': token('the token was revoked'),
  'token.static-secret': policy('a long-lived secret was sent where a task token is required', 'new_token'),
  'token.keys-unavailable': fault('the keys to verify the token are not available'),

  'stopped.all': stopped('an operator stopped all calls', 'stop'),
  'stopped.agent': stopped('an operator stopped the agent, or an agent that it works for', 'stop'),
  'stopped.server': stopped('an operator stopped all calls to the server', 'stop'),
  'stopped.action': stopped('an operator stopped the action', 'stop'),
  'stopped.user': stopped('an operator stopped what is done for the user', 'stop'),

  'task.unknown': token('the task of the token is not known', 'declare_again'),
  'task.suspended': stopped('the task is suspended', 'stop'),
  'task.completed': stopped('the task was completed', 'declare_again'),
  'task.cancelled': stopped('the task was cancelled', 'stop'),
  'task.revoked': stopped('the task was revoked', 'stop'),
  'task.expired': stopped('the task has expired', 'declare_again'),
  'task.stopped': stopped('somebody else stopped a like task of the agent', 'stop'),
  'task.exhausted': budget('the budget of the task is used up'),
  'task.replayed': stopped('the token was used before and allows a single use', 'declare_again'),
  'task.state-unavailable': fault('the state of the task is not available'),

  'limit.exceeded': budget('a limit over all tasks is used up'),

  'action.unknown': policy('the action is not known', 'change_arguments'),
  'action.changed': policy('the tool is not as it was when it was reviewed', 'ask_person'),
  'action.unasked': policy('the call that this call continues is not known here', 'call_again'),
  'action.outside-intent': scope('the action is outside the declared intent of the task'),
  'action.arguments': policy('the arguments of the action are not valid', 'change_arguments'),

  'policy.forbidden': policy('a policy forbids the action', 'ask_person'),
  'policy.not-permitted': policy('no policy permits the action', 'ask_person'),
  'policy.error': fault('a policy could not be evaluated'),
  'policy.unavailable': fault('no policies are loaded'),
  'policy.expired': fault('the policies have expired'),
  'policy.stale': fault('the policies could not be confirmed for too long'),

  'ledger.unavailable': fault('the decision could not be recorded'),
  'check.deadline': fault('the check was not decided in time'),
  overloaded: fault('too many checks are in flight'),
  internal: fault('the check failed'),
} as const satisfies Readonly<Record<string, Reason>>;

/** A code of the table, such as `policy.forbidden`. */
export type ReasonCode = keyof typeof reasons;
