import type { PeerCertificate } from 'node:tls';
import { isDeny } from '../decision/decision.ts';
import { leafFromDer } from '../identity/leaf-certificate.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { type Svid, tlsMaterialOf } from '../identity/svid.ts';
import type { SvidSettings } from '../identity/svid-settings.ts';
import { failureCode, failureWords, httpExchange } from '../runtime/http-exchange.ts';
import { issuerProblem, type IssuerProblem } from './issuer-problem.ts';
import { thumbprintOf } from './own-svid.ts';

/** Which issuer is asked, and as whom. */
export interface IssuerPlace {
  /** Its URL, `https:` without a trailing slash. */
  readonly url: string;
  /** Where the SVID of the agent is from. */
  readonly svid: SvidSettings;
  /** Its SPIFFE ID; `null` checks its certificate by the host of the URL instead. */
  readonly id: SpiffeId | null;
}

/** One request. */
export interface OutgoingRequest {
  readonly method: 'GET' | 'POST';
  /** Beneath the URL of the issuer, such as `/oauth/token`. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** An HTTP answer, whatever its status. */
export interface IssuerAnswer {
  readonly status: number;
  readonly body: Uint8Array;
  /** Thumbprint of the certificate that the request was made with: what an issued token is bound to. */
  readonly boundTo: string;
}

const TIMEOUT_MS = 10_000;
const MAX_BODY_BYTES = 262_144;

/**
 * Makes one request with `svid`, on a connection of its own. Gives up after 10 s, and on an answer of more than 256 KiB.
 *
 * @returns `unreachable` where no answer came
 */
export async function askIssuer(
  place: Pick<IssuerPlace, 'url' | 'id'>,
  svid: Svid,
  asked: OutgoingRequest,
): Promise<IssuerAnswer | IssuerProblem> {
  const { certificate: cert, key, bundle: ca } = tlsMaterialOf(svid);
  try {
    return { ...(await exchange(place, asked, { cert, key, ca })), boundTo: thumbprintOf(svid) };
  } catch (error) {
    return issuerProblem('unreachable', `no answer from \`${place.url}\`: ${reasonOf(error)}`);
  }
}

async function exchange(
  { url, id }: Pick<IssuerPlace, 'url' | 'id'>,
  { method, path, headers, body }: OutgoingRequest,
  tls: Readonly<Record<'cert' | 'key' | 'ca', string>>,
): Promise<Omit<IssuerAnswer, 'boundTo'>> {
  const named =
    id === null ? {} : { checkServerIdentity: (_host: string, peer: PeerCertificate) => notServerId(peer, id) };
  const answer = await httpExchange(`${url}${path}`, {
    method,
    headers: { accept: 'application/json', ...headers },
    body,
    maxBytes: MAX_BODY_BYTES,
    signal: AbortSignal.timeout(TIMEOUT_MS),
    tls: { ...tls, ...named },
  });
  if (answer.fault === 'content-coding') throw new Error('an answer in a content coding');
  if (answer.fault === 'too-long') throw new Error(`more than ${MAX_BODY_BYTES} bytes`);
  return { status: answer.status, body: answer.body };
}

/** Why the certificate of a server is not that of the expected SPIFFE ID. The chain is verified by TLS before. */
function notServerId(peer: PeerCertificate, id: SpiffeId): Error | undefined {
  const leaf = leafFromDer(peer.raw);
  if (isDeny(leaf)) return new Error(`the certificate is no X509-SVID: ${leaf.detail}`);
  return leaf.id === id ? undefined : new Error(`the issuer is \`${leaf.id}\`, not \`${id}\``);
}

const reasonOf = (error: unknown): string =>
  failureCode(error) === 'ABORT_ERR' ? `nothing within ${TIMEOUT_MS / 1_000} s` : failureWords(error);
