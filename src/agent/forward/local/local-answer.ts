import { type NextStep, nextSteps } from '../../../core/decision/next-step.ts';
import { type ReasonCode, reasons } from '../../../core/decision/reasons.ts';
import type { IssuerProblem, StopReason } from '../../task/issuer-problem.ts';

/** An answer of the forwarder itself, in the form of Remit's denials. */
export interface LocalAnswer {
  readonly status: number;
  /** Whose fault it is: `forward.…` for the forwarder's own, else a reason of Remit. */
  readonly reason: ReasonCode | `forward.${string}`;
  readonly error: string;
  /** What happened, for people and models. Never a token, a path segment that guards, or a header's value. */
  readonly message: string;
  readonly next: NextStep;
}

/** The caller must not use this address so. */
export const refusal = (status: number, problem: string, message: string): LocalAnswer => ({
  status,
  reason: `forward.${problem}`,
  error: status === 404 ? 'not_found' : 'invalid_request',
  message,
  next: 'change_arguments',
});

/** The upstream is at fault: 502, or 504 if it took too long. */
export const upstreamFault = (origin: string, { isLate, why }: UpstreamFault): LocalAnswer => ({
  status: isLate ? 504 : 502,
  reason: isLate ? 'forward.upstream-slow' : 'forward.upstream-unreachable',
  error: 'temporarily_unavailable',
  message: `the upstream ${origin} ${isLate ? 'did not answer in time' : 'could not be called'}: ${why}`,
  next: 'retry_later',
});

/** What went wrong at an upstream. */
export interface UpstreamFault {
  readonly isLate: boolean;
  readonly why: string;
}

/** Envoy or Remit could not decide the call, each time it was sent. */
export const undecided: LocalAnswer = {
  status: 503,
  reason: 'forward.no-decision',
  error: 'temporarily_unavailable',
  message: 'no decision could be had, so the call was denied; it did not reach the upstream',
  next: 'retry_later',
};

/** The upstream's list of tools cannot be read, so it is not known which of them the task may use. */
export const unreadableList: LocalAnswer = {
  status: 502,
  reason: 'forward.unreadable-list',
  error: 'temporarily_unavailable',
  message: 'the list of tools of the upstream is too long or cannot be read, so it is not shown',
  next: 'ask_person',
};

/** The connection to the upstream was closing before the call could be sent on it. */
export const withoutSession = (origin: string): LocalAnswer => ({
  status: 503,
  reason: 'forward.upstream-closing',
  error: 'temporarily_unavailable',
  message: `the connection to ${origin} was closing, and the call was not sent`,
  next: 'retry_later',
});

/** There is no certificate to call with. */
export const withoutSvid = (why: string): LocalAnswer => ({
  status: 503,
  reason: 'forward.no-svid',
  error: 'temporarily_unavailable',
  message: `this workload has no SVID to call with now: ${why}`,
  next: 'retry_later',
});

/** There is no token: an operator stopped the agent, the task was stopped, or the issuer cannot be asked now. Codes of the issuer are for the terminal alone. */
export function withoutToken(problem: IssuerProblem): LocalAnswer {
  const { error, description, isTransient, reason: stop } = problem;
  if (stop !== undefined) return stopped(stop);
  if (error === 'task_suspended') return stopped('task.suspended');
  if (isTransient) {
    return {
      status: 503,
      reason: 'forward.no-token',
      error: 'temporarily_unavailable',
      message: `there is no token of the task now: ${description}`,
      next: 'retry_later',
    };
  }
  const reason = endReasons.find((one) => one === `task.${problem.taskState ?? ''}`);
  if (reason !== undefined) return stopped(reason);
  return {
    status: 403,
    reason: 'forward.no-token',
    error: 'access_denied',
    message: `there is no token of the task any more: ${description}`,
    next: 'stop',
  };
}

/** As Remit denies a call of such a task. */
function stopped(reason: (typeof endReasons)[number] | 'task.suspended' | StopReason): LocalAnswer {
  const { httpStatus, text, next } = reasons[reason];
  return { status: httpStatus, reason, error: 'access_denied', message: text, next };
}

/** The reasons of Remit for the states in which a task has ended. */
const endReasons = ['task.completed', 'task.cancelled', 'task.revoked', 'task.expired'] as const satisfies ReasonCode[];

/** What happened, and what to do next: frameworks pass on nothing else. */
export const messageOf = ({ message, next }: LocalAnswer): string => `${message}. ${nextSteps[next]}`;

/** Its headers and body. */
export function localAnswerBytes(answer: LocalAnswer): {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
} {
  const { error, reason, next } = answer;
  const body = JSON.stringify({ error, reason, message: messageOf(answer), next });
  return {
    headers: {
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(body)),
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      ...(next === 'retry_later' ? { 'retry-after': '1' } : {}),
    },
    body,
  };
}
