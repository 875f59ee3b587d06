import { timingSafeEqual } from 'node:crypto';
import { type LocalAnswer, refusal } from './local-answer.ts';
import { type HeaderLines, valuesOf } from '../passed-headers.ts';

/**
 * Who may use a listener. On TCP any process of the machine can connect, and a web page too: the first segment of the path must
 * be the secret, and `Host` and `Origin` those of the listener. A Unix socket is guarded by its folder.
 */
export type LocalGate =
  { readonly kind: 'tcp'; readonly port: number; readonly secret: Uint8Array } | { readonly kind: 'socket' };

/** A request, as far as the gate reads it. */
export interface GatedRequest {
  readonly method: string;
  /** The request target as received. */
  readonly target: string;
  readonly lines: HeaderLines;
  /** The host that was asked for, each time it was sent. */
  readonly hosts: readonly string[];
}

/** A request for the upstream. */
export interface PassedRequest {
  /** Path and query below the upstream's URL: empty, or beginning with `/` or `?`. */
  readonly rest: string;
}

/** Lets a request pass to the upstream, or refuses it. */
export function gated(request: GatedRequest, gate: LocalGate): PassedRequest | LocalAnswer {
  const { method, target, hosts } = request;
  if (gate.kind === 'tcp') {
    const local = [`127.0.0.1:${gate.port}`, `localhost:${gate.port}`];
    const [host = '', ...others] = hosts;
    // INVARIANT: a page that had its own name resolve to 127.0.0.1 sends that name.
    if (others.length > 0 || !local.includes(host)) return refusal(421, 'host', `the host must be ${local[0]}`);
    const origins = valuesOf(request.lines, 'origin');
    if (origins.some((origin) => !local.some((at) => origin === `http://${at}`)))
      return refusal(403, 'origin', 'web pages may not use this address');
  } else if (hosts.length > 1) return refusal(400, 'host', 'more than one host');
  const rest = gate.kind === 'tcp' ? afterSecret(target, gate.secret) : target;
  if (rest === null || !/^(?:$|[/?])/.test(rest))
    return refusal(404, 'path', 'not found; use the address as it is in the variable, with its path');
  // TRACE would answer with the token; CONNECT would leave the path unchecked.
  if (method === 'TRACE' || method === 'CONNECT') return refusal(405, 'method', `${method} is not passed on`);
  return { rest };
}

/** What follows `/secret`; `null` if the secret does not match. */
function afterSecret(target: string, secret: Uint8Array): string | null {
  const [, written = '', rest = ''] = /^\/([^/?#]*)(.*)/s.exec(target) ?? [];
  const sent = Buffer.from(written, 'utf8');
  // Its length is no secret; the comparison takes the same time for each of that length.
  return sent.length === secret.length && timingSafeEqual(sent, secret) ? rest : null;
}
