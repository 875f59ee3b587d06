import { failureCode, failureWords } from '../../../core/runtime/system/http-exchange.ts';
import { usersListening } from './capture.ts';
import type { UpstreamFault } from '../local/local-answer.ts';
import { CONNECT_TIMEOUT } from './upstream-connections.ts';

/** Code of the error of a request that was idle for too long. */
export const IDLE_TIMEOUT = 'REMIT_IDLE_TIMEOUT';

/** The error of a request that was idle for too long. */
export const idleFailure = (idleMs: number): Error =>
  Object.assign(new Error(`no byte within ${idleMs / 1_000} s`), { code: IDLE_TIMEOUT });

const LATE: ReadonlySet<string> = new Set([CONNECT_TIMEOUT, IDLE_TIMEOUT, 'ETIMEDOUT']);

/** Errors of a handshake that is not answered in TLS, or that is aborted. */
const NOT_TLS = /^(?:EPROTO|ECONNRESET|ERR_SSL_[A-Z_]{1,64})$/;

/** The port on which Istio's Envoy accepts the outbound connections of its pod. */
const SIDECAR_PORT = 15_001;
const BESIDE_SIDECAR =
  '; the sidecar of this pod may speak TLS of its own on this connection, so that it would be TLS within TLS: name the port of the Service `http` and forward to its `http:` URL';

/** Why an upstream did not answer, in words that name the error of TCP or TLS. */
export function upstreamFailure(error: unknown): UpstreamFault {
  const code = failureCode(error);
  const words =
    failureWords(error) + (NOT_TLS.test(code) && usersListening(SIDECAR_PORT).length > 0 ? BESIDE_SIDECAR : '');
  return {
    isLate: LATE.has(code),
    why: words.includes(code) || code.startsWith('REMIT_') ? words : `${words} (${code})`,
  };
}
