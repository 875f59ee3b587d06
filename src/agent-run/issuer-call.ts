import { request } from 'node:https';
import type { IncomingMessage } from 'node:http';
import type { PeerCertificate } from 'node:tls';
import { isDeny } from '../decision/decision.ts';
import { leafFromDer } from '../identity/leaf-certificate.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { type Svid, tlsMaterialOf } from '../identity/svid.ts';
import type { SvidSettings } from '../identity/svid-settings.ts';
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

type Tls = Readonly<Record<'cert' | 'key' | 'ca', string>>;

async function exchange(
  { url, id }: Pick<IssuerPlace, 'url' | 'id'>,
  asked: OutgoingRequest,
  tls: Tls,
): Promise<Omit<IssuerAnswer, 'boundTo'>> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const outgoing = request(`${url}${asked.path}`, {
    ...tls,
    ...(id === null ? {} : { checkServerIdentity: (_host: string, peer: PeerCertificate) => notServerId(peer, id) }),
    agent: false,
    method: asked.method,
    headers: { accept: 'application/json', ...asked.headers },
    minVersion: 'TLSv1.2',
    signal,
  });
  outgoing.once('response', resolve).once('error', reject);
  outgoing.end(asked.body);
  const response = await promise;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new Error(`more than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  return { status: response.statusCode ?? 0, body: Buffer.concat(chunks) };
}

/** Why the certificate of a server is not that of the expected SPIFFE ID. The chain is verified by TLS before. */
function notServerId(peer: PeerCertificate, id: SpiffeId): Error | undefined {
  const leaf = leafFromDer(peer.raw);
  if (isDeny(leaf)) return new Error(`the certificate is no X509-SVID: ${leaf.detail}`);
  return leaf.id === id ? undefined : new Error(`the issuer is \`${leaf.id}\`, not \`${id}\``);
}

/** Where several addresses were tried the message is empty and the code says it. */
function reasonOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return 'unknown error';
  const { message, code, name } = error as Readonly<Record<'message' | 'code' | 'name', unknown>>;
  if (name === 'TimeoutError' || code === 'ABORT_ERR') return `nothing within ${TIMEOUT_MS / 1_000} s`;
  if (typeof message === 'string' && message !== '') return message;
  return typeof code === 'string' ? code : 'unknown error';
}
