import type { PeerCertificate } from 'node:tls';
import type { AskMcp, NoList } from '../../../core/action/mcp/server-tools.ts';
import { serverTools } from '../../../core/action/mcp/server-tools.ts';
import { notServerId } from '../../../core/identity/server-id.ts';
import type { SpiffeId } from '../../../core/identity/spiffe-id.ts';
import { isProblem, type Problem } from '../../../core/runtime/problem.ts';
import { failureCode, failureWords, httpExchange } from '../../../core/runtime/system/http-exchange.ts';

/** Where an MCP server is asked for its tools. */
export interface AskedServer {
  /** An `https:` URL; `http:` for a server of this machine. */
  readonly url: string;
  /** The SPIFFE ID of its certificate; `null`: the host of the URL is checked. */
  readonly id: SpiffeId | null;
}

/** The own certificate and key, and the CA certificates that verify the server; by default those of the system. PEM. */
export type AskedWith = Partial<Readonly<Record<'cert' | 'key' | 'ca', string>>>;

/** Most bytes of all answers of one look at a server, and how long the look may take. */
const MAX_BYTES = 4_194_304;
const LOOK_MS = 30_000;

/** All tools that a server lists. A problem if it does not answer within 30 s, or with more than 4 MiB in all. */
export async function askedTools(
  { url, id }: AskedServer,
  tlsOf: () => Promise<AskedWith | Problem>,
): Promise<readonly unknown[] | NoList> {
  const tls = await tlsOf();
  if (isProblem(tls)) return { ...tls, isAnswered: false };
  const named =
    id === null
      ? {}
      : { checkServerIdentity: (_host: string, peer: PeerCertificate) => notServerId(peer, { id, what: 'server' }) };
  const signal = AbortSignal.timeout(LOOK_MS);
  let bytesLeft = MAX_BYTES;
  const ask: AskMcp = async ({ method, headers, message }) => {
    try {
      const body = message === undefined ? {} : { body: JSON.stringify(message) };
      const exchange = { method, headers, ...body, maxBytes: bytesLeft, signal, tls: { ...tls, ...named } };
      const answer = await httpExchange(url, exchange);
      bytesLeft -= answer.body.length;
      if (answer.fault !== null)
        return { problem: answer.fault === 'too-long' ? TOO_LONG : 'a compressed answer', isAnswered: true };
      return { status: answer.status, headers: answer.headers, body: answer.body.toString() };
    } catch (error) {
      const isLate = failureCode(error) === 'ABORT_ERR' || failureCode(error) === 'TimeoutError';
      return { problem: isLate ? `no answer within ${LOOK_MS / 1_000} s` : failureWords(error), isAnswered: false };
    }
  };
  try {
    return await serverTools(ask);
  } catch {
    // Only its answers can be the cause: with those it must not avoid the comparison with its pins.
    return { problem: 'answers that cannot be read', isAnswered: true };
  }
}

const TOO_LONG = `answers of more than ${MAX_BYTES} bytes in all`;
