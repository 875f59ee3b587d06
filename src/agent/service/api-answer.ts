import { type NextStep, nextSteps } from '../../core/decision/next-step.ts';
import { type IssuerProblem, problemLines } from '../task/issuer-problem.ts';

/** An answer of the local API. */
export interface ApiAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Whether a step was refused. */
export const isApiAnswer = (value: unknown): value is ApiAnswer =>
  typeof value === 'object' && value !== null && 'status' in value && 'body' in value;

/** A refusal of the helper itself. @param error a code of OAuth */
export const badRequest = (status: number, error: string, message: string): ApiAnswer => ({
  status,
  body: { error, message, next: 'change_arguments' satisfies NextStep },
});

/** More tasks or requests than the helper has room for. */
export const noRoom = (message: string): ApiAnswer => ({
  status: 503,
  body: { error: 'temporarily_unavailable', message, next: 'retry_later' satisfies NextStep },
  headers: { 'retry-after': '1' },
});

/** Errors of the issuer for what its policies refuse. The others are mistakes of the request. */
const DENIALS: ReadonlySet<string> = new Set(['access_denied', 'invalid_authorization_details', 'unauthorized_client']);

/**
 * The refusal of the issuer, with what a developer can do: 503 with `retry-after` if the same request may succeed later, 403 if policies or an
 * operator refuse it, 400 otherwise.
 */
export function refusedByIssuer(problem: IssuerProblem): ApiAnswer {
  const { error, description, isTransient, reason } = problem;
  const [, cure] = problemLines(problem);
  const isDenied = reason !== undefined || DENIALS.has(error);
  const next: NextStep = isTransient ? 'retry_later' : isDenied ? deniedNext(problem) : 'change_arguments';
  return {
    status: isTransient ? 503 : isDenied ? 403 : 400,
    body: {
      error: isTransient ? 'temporarily_unavailable' : error,
      ...(reason === undefined ? {} : { reason }),
      message: `${description}. ${nextSteps[next]}`,
      ...(cure === undefined ? {} : { to_do: cure.replace(/^to do: /, '') }),
      next,
    },
    ...(isTransient ? { headers: { 'retry-after': '1' } } : {}),
  };
}

const deniedNext = ({ error, reason }: IssuerProblem): NextStep =>
  reason !== undefined || error === 'access_denied' ? 'stop' : 'change_arguments';
