import { failureCode, failureWords } from '../../runtime/http-exchange.ts';
import type { UpstreamFault } from './local-answer.ts';
import { CONNECT_TIMEOUT } from './upstream-connections.ts';

/** Code of the error of a request that was idle for too long. */
export const IDLE_TIMEOUT = 'REMIT_IDLE_TIMEOUT';

const LATE: ReadonlySet<string> = new Set([CONNECT_TIMEOUT, IDLE_TIMEOUT, 'ETIMEDOUT']);

/** Why an upstream did not answer, in words that name the error of TCP or TLS. */
export function upstreamFailure(error: unknown): UpstreamFault {
  const code = failureCode(error);
  const words = failureWords(error);
  return {
    isLate: LATE.has(code),
    why: words.includes(code) || code.startsWith('REMIT_') ? words : `${words} (${code})`,
  };
}
