import type { Agent } from 'node:https';
import type { PeerCertificate } from 'node:tls';
import type { SpiffeId } from '../../core/identity/spiffe-id.ts';
import { type Svid, tlsMaterialOf } from '../../core/identity/svid.ts';
import type { SvidSettings } from '../../core/identity/svid-settings.ts';
import { failureCode, failureWords, httpExchange } from '../../core/runtime/system/http-exchange.ts';
import { issuerProblem, type IssuerProblem } from './issuer-problem.ts';
import { thumbprintOf } from '../run/own-svid.ts';
import { notServerId } from '../../core/identity/server-id.ts';

/** The issuer, and the identity to call it with. */
export interface IssuerPlace {
  /** Its URL, `https:` without a trailing slash. */
  readonly url: string;
  /** Source of the agent's SVID. */
  readonly svid: SvidSettings;
  /** Its SPIFFE ID; `null` verifies its certificate by the host of the URL instead. */
  readonly id: SpiffeId | null;
}

/** A request to the issuer. */
export interface OutgoingRequest {
  readonly method: 'GET' | 'POST';
  /** Path below the issuer's URL, such as `/oauth/token`. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** How long the answer may take. Default 10 s. */
  readonly timeoutMs?: number;
  /** Keeps connections for further requests. Default none: each request has a connection of its own. */
  readonly agent?: Agent;
}

/** An HTTP answer of any status. */
export interface IssuerAnswer {
  readonly status: number;
  readonly body: Uint8Array;
  /** Thumbprint of the client certificate, to which an issued token is bound. */
  readonly boundTo: string;
}

const TIMEOUT_MS = 10_000;
const MAX_BODY_BYTES = 262_144;

/**
 * Sends one request with `svid`. Times out; refuses an answer of more than 256 KiB.
 *
 * @returns `unreachable` if there was no answer
 */
export async function askIssuer(
  place: Pick<IssuerPlace, 'url' | 'id'>,
  svid: Svid,
  asked: OutgoingRequest,
): Promise<IssuerAnswer | IssuerProblem> {
  const { certificate: cert, key, bundle: ca } = tlsMaterialOf(svid);
  let isSecure = false;
  const onSecure = (): void => void (isSecure = true);
  try {
    return { ...(await exchange(place, asked, { tls: { cert, key, ca }, onSecure })), boundTo: thumbprintOf(svid) };
  } catch (error) {
    const reason = reasonOf(error, asked.timeoutMs ?? TIMEOUT_MS);
    const problem = issuerProblem('unreachable', `no answer from \`${place.url}\`: ${reason}`);
    const code = failureCode(error);
    return UNSENT.has(code) || (!isSecure && ENDED.has(code)) ? { ...problem, isUnsent: true } : problem;
  }
}

/** Failures before there is a connection. */
const UNSENT: ReadonlySet<string> = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN']);
/** Failures of a connection. The Envoy of a mesh accepts it, and ends it if nobody is behind. */
const ENDED: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE']);

async function exchange(
  { url, id }: Pick<IssuerPlace, 'url' | 'id'>,
  { agent, method, path, headers, body, timeoutMs = TIMEOUT_MS }: OutgoingRequest,
  { tls, onSecure }: { readonly tls: Readonly<Record<'cert' | 'key' | 'ca', string>>; readonly onSecure: () => void },
): Promise<Omit<IssuerAnswer, 'boundTo'>> {
  const named =
    id === null
      ? {}
      : { checkServerIdentity: (_host: string, peer: PeerCertificate) => notServerId(peer, { id, what: 'issuer' }) };
  const answer = await httpExchange(`${url}${path}`, {
    method,
    headers: { accept: 'application/json', ...headers },
    body,
    maxBytes: MAX_BODY_BYTES,
    signal: AbortSignal.timeout(timeoutMs),
    tls: { ...tls, ...named },
    onSecure,
    ...(agent === undefined ? {} : { agent }),
  });
  if (answer.fault === 'content-coding') throw new Error('an answer in a content coding');
  if (answer.fault === 'too-long') throw new Error(`more than ${MAX_BODY_BYTES} bytes`);
  return { status: answer.status, body: answer.body };
}

const reasonOf = (error: unknown, timeoutMs: number): string =>
  failureCode(error) === 'ABORT_ERR' ? `nothing within ${timeoutMs / 1_000} s` : failureWords(error);
