import type { IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { type HeaderLines, valuesOf } from './passed-headers.ts';

/** How many times at most a call that was not decided is sent again. */
export const MAX_REPEATS = 3;
const MAX_WAIT_MS = 5_000;
const WITHOUT_DECISION: ReadonlySet<number> = new Set([429, 503]);
/** The gRPC codes into which Envoy translates these statuses. @see https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md */
const GRPC_UNAVAILABLE = '14';

/** Status and header lines of an answer, over HTTP/1.1 or HTTP/2. */
type AnswerHead = Partial<Pick<IncomingMessage, 'statusCode'>> & { readonly rawHeaders: HeaderLines };

/**
 * Whether an answer says that the call never reached the upstream, so that it may be sent again. Envoy and Remit mark such an answer.
 * A 503 without the mark may be that of a server which has acted.
 */
export function isUndecided({ statusCode = 0, rawHeaders }: AnswerHead): boolean {
  return (
    (WITHOUT_DECISION.has(statusCode) || valuesOf(rawHeaders, 'grpc-status')[0] === GRPC_UNAVAILABLE) &&
    valuesOf(rawHeaders, 'retry-after').length > 0 &&
    valuesOf(rawHeaders, 'x-remit-decision').some((decision) => decision.startsWith('deny;'))
  );
}

/** Waits for as long as `retry-after` says, at most 5 s. */
export async function waited({ rawHeaders }: Pick<AnswerHead, 'rawHeaders'>): Promise<void> {
  const seconds = Number(valuesOf(rawHeaders, 'retry-after')[0]);
  await delay(seconds >= 0 ? Math.min(seconds * 1_000, MAX_WAIT_MS) : MAX_WAIT_MS);
}
