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

/** Admits a request to the upstream, or refuses it. */
export function gated(request: GatedRequest, gate: LocalGate): PassedRequest | LocalAnswer {
  const stranger = strangerRefusal(request, gate.kind === 'tcp' ? gate.port : null);
  if (stranger !== null) return stranger;
  return passedRest(request.method, gate.kind === 'tcp' ? afterSecret(request.target, gate.secret) : request.target);
}

/**
 * Refuses a request that cannot come from a program that was given the local address, such as the request of a web page; `null`
 * if it can.
 *
 * @param port of 127.0.0.1; `null` for a Unix socket
 */
export function strangerRefusal({ hosts, lines }: GatedRequest, port: number | null): LocalAnswer | null {
  if (port === null) return hosts.length > 1 ? refusal(400, 'host', 'more than one host') : null;
  const local = [`127.0.0.1:${port}`, `localhost:${port}`];
  const [host = '', ...others] = hosts;
  // INVARIANT: a page that had its own name resolve to 127.0.0.1 sends that name.
  if (others.length > 0 || !local.includes(host)) return refusal(421, 'host', `the host must be ${local[0]}`);
  const isPage = valuesOf(lines, 'origin').some((origin) => !local.some((at) => origin === `http://${at}`));
  return isPage ? refusal(403, 'origin', 'web pages may not use this address') : null;
}

/** Admits the path that follows the secret of an address, or refuses it. @param rest `null` if the secret was absent or wrong */
export function passedRest(method: string, rest: string | null): PassedRequest | LocalAnswer {
  if (rest === null || !/^(?:$|[/?])/.test(rest)) return noSuchPath;
  // TRACE would answer with the token; CONNECT would leave the path unchecked.
  if (method === 'TRACE' || method === 'CONNECT') return refusal(405, 'method', `${method} is not passed on`);
  return { rest };
}

const noSuchPath = refusal(404, 'path', 'not found; use the address as it is in the variable, with its path');

/** What follows `/secret`; `null` if the secret does not match. */
function afterSecret(target: string, secret: Uint8Array): string | null {
  const [, written = '', rest = ''] = /^\/([^/?#]*)(.*)/s.exec(target) ?? [];
  const sent = Buffer.from(written, 'utf8');
  // Its length is no secret; the comparison takes the same time for each of that length.
  return sent.length === secret.length && timingSafeEqual(sent, secret) ? rest : null;
}
