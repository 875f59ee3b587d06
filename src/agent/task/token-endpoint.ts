import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TaskCredential } from './issuer-client.ts';
import { isIssuerProblem, type IssuerProblem } from './issuer-problem.ts';

/** What an endpoint serves, and to whom. */
export interface EndpointOptions {
  /** Returns the current token. */
  readonly current: () => Promise<TaskCredential | IssuerProblem>;
  /** The value callers must send as `Authorization: Bearer …`. A secret. */
  readonly bearer: string;
  readonly nowMs: () => number;
}

/** Limits of the server; a request beyond a limit is closed. */
const limits = {
  headersTimeout: 5_000,
  requestTimeout: 5_000,
  keepAliveTimeout: 5_000,
  maxHeaderSize: 8_192,
  connectionsCheckingInterval: 1_000,
} as const;
const MAX_CONNECTIONS = 64;

interface Answer {
  readonly status: number;
  readonly value: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * `GET /token` on a free port of 127.0.0.1, for one command: the current token in the form of RFC 6749 section 5.1. Everything
 * else on the machine, web pages included, is kept out by the exact `Host` and by a bearer that only the command knows.
 *
 * Lifecycle: `listen` to `close`.
 */
export class TokenEndpoint {
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server, url: string) {
    this.#server = server;
    this.url = url;
  }

  /** Rejects if no port of 127.0.0.1 is available. */
  static async listen(options: EndpointOptions): Promise<TokenEndpoint> {
    const server = createServer(limits);
    server.maxConnections = MAX_CONNECTIONS;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: '127.0.0.1', port: 0 }, resolve);
    });
    // Safe: a TCP server has an address of this form.
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('request', (request, response) => void serve(request, response, { ...options, host }));
    return new TokenEndpoint(server, `http://${host}/token`);
  }

  /** The command has ended: refuses new requests and closes open connections. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => void this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }
}

type Guard = EndpointOptions & { readonly host: string };

async function serve(request: IncomingMessage, response: ServerResponse, guard: Guard): Promise<void> {
  const refusal = refusalOf(request, guard);
  const answer = refusal ?? (await answerFrom(guard));
  if (response.destroyed) return;
  response.writeHead(answer.status, {
    'content-type': 'application/json',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    // A refused request may have an unread body.
    ...(refusal === null ? {} : { connection: 'close' }),
    ...answer.headers,
  });
  response.end(JSON.stringify(answer.value));
}

function refusalOf(request: IncomingMessage, { host, bearer }: Guard): Answer | null {
  const hosts = request.rawHeaders.filter((_, at, all) => at % 2 === 1 && all[at - 1]?.toLowerCase() === 'host');
  if (hosts.length !== 1 || hosts[0] !== host) return refused(421, 'misdirected', `the host must be ${host}`);
  if (request.url !== '/token') return refused(404, 'not_found', 'the only path is /token');
  if (request.method !== 'GET') return refused(405, 'method_not_allowed', 'the only method is GET', { allow: 'GET' });
  return isBearer(request.headers.authorization, bearer)
    ? null
    : refused(401, 'invalid_client', 'Authorization: Bearer and the value of REMIT_TOKEN_URL_AUTH is required', {
        'www-authenticate': 'Bearer',
      });
}

const refused = (status: number, error: string, description: string, headers: Answer['headers'] = {}): Answer => ({
  status,
  value: { error, error_description: description },
  headers,
});

/** Constant-time comparison. */
function isBearer(header: string | undefined, bearer: string): boolean {
  const [, sent = ''] = /^Bearer +(\S+)$/i.exec(header ?? '') ?? [];
  return timingSafeEqual(digest(sent), digest(bearer));
}

const digest = (text: string): Uint8Array => createHash('sha256').update(text).digest();

async function answerFrom({ current, nowMs }: Guard): Promise<Answer> {
  const credential = await current();
  if (isIssuerProblem(credential)) {
    const { error, description, isTransient } = credential;
    return refused(isTransient ? 503 : 409, error, description, isTransient ? { 'retry-after': '1' } : {});
  }
  const { token, type, expiresAtMs } = credential;
  const expiresIn = Math.max(0, Math.floor((expiresAtMs - nowMs()) / 1_000));
  return { status: 200, value: { access_token: token, token_type: type, expires_in: expiresIn }, headers: {} };
}
