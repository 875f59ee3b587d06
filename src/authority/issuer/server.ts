import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import { constants } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { systemPorts } from '../../core/runtime/ports.ts';
import { after } from '../../core/runtime/timers.ts';
import type { After } from '../../core/runtime/timers.ts';
import { bodyOf, MAX_BODY_BYTES } from './body.ts';
import { Connections } from './bounds/connections.ts';
import type { ClientConnection } from './bounds/connections.ts';
import type { IssuerLimits } from '../../core/config/issuer-limits.ts';
import type { IssuerBound, OnRefused } from './bounds/limits.ts';
import { Handshakes } from './bounds/handshakes.ts';
import { ClientRequests } from './bounds/requests.ts';
import { Turns } from './bounds/turns.ts';
import { isOAuthError, oauthError } from './oauth-error.ts';
import { withClosedConnection, errorReply, jsonReply, type Reply } from './reply.ts';
import { withKeysOfNow } from './keys/request-keys.ts';
import { routerOf } from './routes.ts';
import type { FoundRoute, FoundEndpoint } from './routes.ts';
import type { IssuerParts, IssuerServices } from './services.ts';
import { waitFrom } from './tasks/wait.ts';
import type { Wait } from './tasks/wait.ts';

/** The issuer's SVID and the trust bundle for clients, in PEM. */
export interface TlsMaterial {
  readonly certificate: string;
  readonly key: string;
  readonly bundle: string;
}

/** Limits of a connection, at which Node answers or cuts it. */
const connectionLimits = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  handshakeTimeout: 5_000,
  keepAliveTimeout: 5_000,
  maxHeaderSize: 8_192,
  connectionsCheckingInterval: 1_000,
} as const;

/** A finished request. */
export interface AnsweredRequest {
  /** Its path in the route table, such as `/tasks/{id}/complete`; `none` for an unknown path or method. */
  readonly route: string;
  /** HTTP status; `null` if the client disconnected before the reply. */
  readonly status: number | null;
  /** Time from its headers to its reply, including the wait for its turn. */
  readonly tookMs: number;
}

/** Called for each finished request. Must not throw. */
export type OnAnswered = (answered: AnsweredRequest) => void;

/** Options of an issuer server. */
export interface IssuerServerOptions {
  readonly services: IssuerParts;
  readonly tls: TlsMaterial;
  /** Called with faults that no reply can report. Never contains a token or key. */
  readonly onProblem?: (message: string) => void;
  readonly after?: After;
  /** Default: the system's monotonic clock. */
  readonly monotonicMs?: () => number;
  /** Limits per client. */
  readonly limits: IssuerLimits;
  /** The scheduler, shared by all servers of a process. Default: its own, without checks to share with. */
  readonly turns?: Turns;
  /** Called for each request or connection that exceeds a limit. */
  readonly onRefused?: OnRefused;
  /** Called for each finished request. */
  readonly onAnswered?: OnAnswered;
  /**
   * `all` (default), or `signals`: only `POST /signals`, without client certificates, for transmitters without SVIDs. Signals are
   * authenticated by their signature.
   */
  readonly serves?: 'all' | 'signals';
}

/**
 * The issuer's HTTPS server, from `listen` to `close`. If it serves `all`, client certificates are required, and a client
 * without a certificate of the bundle fails in the handshake.
 *
 * `limits` apply per client: by SPIFFE ID, or by address if that is unknown. A request over a limit is answered 429 with
 * `retry-after`, if possible. Handshakes and requests are scheduled by `turns`.
 */
export class IssuerServer {
  readonly #services: IssuerParts;
  readonly #server: Server;
  readonly #find: (method: string, path: string) => FoundRoute;
  readonly #onProblem: (message: string) => void;
  readonly #onRefused: OnRefused;
  readonly #onAnswered: OnAnswered;
  readonly #monotonicMs: () => number;
  #inFlight = 0;
  readonly #after: After;
  readonly #turns: Turns;
  readonly #connections: Connections;
  readonly #requests: ClientRequests;
  readonly #handshakes: Handshakes;

  constructor(options: IssuerServerOptions) {
    const { limits, monotonicMs = systemPorts.monotonicMs } = options;
    this.#services = options.services;
    const servesAll = options.serves !== 'signals';
    this.#find = routerOf(options.services.settings.url, options.serves);
    this.#onProblem = options.onProblem ?? (() => undefined);
    this.#onRefused = options.onRefused ?? (() => undefined);
    this.#onAnswered = options.onAnswered ?? (() => undefined);
    this.#monotonicMs = monotonicMs;
    this.#after = options.after ?? after;
    this.#turns = options.turns ?? new Turns({ monotonicMs, after: this.#after, areChecksComing: () => false });
    this.#connections = new Connections(limits, this.#onRefused);
    this.#requests = new ClientRequests({ limits, monotonicMs, after: this.#after });
    this.#server = createServer(
      {
        ...connectionLimits,
        ...contextOf(options.tls),
        requestCert: servesAll,
        rejectUnauthorized: servesAll,
        // Renegotiation would be a handshake without a turn.
        secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
        ALPNProtocols: ['http/1.1'],
      },
      (request, response) => void this.#serve(request, response),
    );
    this.#handshakes = new Handshakes(this.#server, {
      connections: this.#connections,
      turns: this.#turns,
      byCertificate: servesAll,
      onRefused: this.#onRefused,
      onProblem: this.#onProblem,
    });
  }

  /** Listens; rejects if the address is not available. Port 0 chooses a free port. */
  async listen(host: string, port: number): Promise<AddressInfo> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    this.#server.on('error', (error) => this.#onProblem(`the issuer's socket failed: ${error.message}`));
    // Safe: a server that listens on TCP has an `AddressInfo`.
    return this.#server.address() as AddressInfo;
  }

  /** Uses a renewed SVID or bundle for new connections. Throws for invalid PEM, or a key that does not match the certificate. */
  reload(tls: TlsMaterial): void {
    this.#server.setSecureContext(contextOf(tls));
  }

  /** Stops accepting requests, lets pending requests finish for at most `graceMs`, then cuts them. */
  async close(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#server.closeIdleConnections();
    this.#handshakes.close();
    this.#requests.close();
    const cancel = this.#after(graceMs, () => this.#server.closeAllConnections());
    await closed;
    cancel();
  }

  /** Number of unanswered requests. */
  get inFlight(): number {
    return this.#inFlight;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const connection = this.#handshakes.connectionOf(request.socket);
    if (connection === undefined || !this.#connections.begin(connection)) return;
    response.once('close', () => this.#connections.end(connection));
    const beganMs = this.#monotonicMs();
    const [path = '', query] = (request.url ?? '').split('?', 2);
    const found = this.#find(request.method ?? '', path);
    this.#inFlight += 1;
    try {
      write(
        response,
        'status' in found
          ? withClosedConnection(found)
          : await this.#answer(found, { request, response, connection, path, query }),
      );
    } catch (error) {
      if (request.destroyed && !request.complete) return;
      this.#onProblem(`an issuer request failed: ${error instanceof Error ? error.message : String(error)}`);
      write(response, errorReply(oauthError('server_error', 'the request failed')));
    } finally {
      this.#inFlight -= 1;
      this.#onAnswered({
        route: 'status' in found ? 'none' : found.route,
        status: response.headersSent ? response.statusCode : null,
        tookMs: this.#monotonicMs() - beganMs,
      });
    }
  }

  async #answer(found: FoundEndpoint, { request, response, connection, path, query }: RequestHead): Promise<Reply> {
    const wait = waitFrom(found.ignoresQuery ? undefined : query, found.kind);
    if (isOAuthError(wait)) return withClosedConnection(errorReply(wait));
    const client = connection.client ?? connection.address;
    if (found.kind === 'ordinary' && this.#connections.isSurplus(connection)) {
      return withClosedConnection(this.#refused('client-connections', client));
    }
    const bound = this.#requests.enter(client, found.kind);
    try {
      const body = await bodyOf(request);
      if (body === null) return withClosedConnection(tooLarge());
      if (bound === null)
        return await this.#inTurn(found, { request, response, client, leaf: connection.leaf, path, body, wait });
      await this.#requests.hold(client, response);
      return this.#refused(bound, client);
    } finally {
      if (bound === null) this.#requests.leave(client, found.kind);
    }
  }

  /** Replies in the turn of the request. */
  async #inTurn(
    found: FoundEndpoint,
    { request, response, client, leaf, path, body, wait }: WholeRequest,
  ): Promise<Reply> {
    const outcome = await this.#turns.wait(found.kind, client, () => response.destroyed);
    if (outcome !== 'turn') {
      if (outcome === 'late') this.#onRefused('turn', client);
      return errorReply(oauthError('temporarily_unavailable', 'too many requests are waiting'));
    }
    return withKeysOfNow(found.endpoint)(
      {
        path,
        body,
        contentType: request.headers['content-type'],
        authorization: request.headersDistinct['authorization'] ?? [],
        traceparent: headerOf(request, 'traceparent'),
        certificate: leaf,
        dpop: request.headersDistinct['dpop'] ?? [],
        taskId: found.taskId,
        orderId: found.orderId,
        serverId: found.serverId,
        wait,
      },
      this.#servicesFor(found, client),
    );
  }

  /** The services for a request, unaffected by reloads during it. */
  #servicesFor({ kind }: FoundEndpoint, client: string): IssuerServices {
    const policies = this.#services.policies();
    return { ...this.#services, policies, nextTurn: () => this.#turns.next(kind, client) };
  }

  #refused(bound: IssuerBound, client: string): Reply {
    this.#onRefused(bound, client);
    return errorReply(oauthError('slow_down', refusals.get(bound) ?? 'this client exceeds a limit'));
  }
}

/** A request whose headers were received. */
interface RequestHead {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly connection: ClientConnection;
  readonly path: string;
  readonly query: string | undefined;
}

/** A request whose body was received. */
interface WholeRequest extends Pick<RequestHead, 'request' | 'response' | 'path'> {
  readonly client: string;
  readonly leaf: ClientConnection['leaf'];
  readonly body: Uint8Array;
  readonly wait: Wait;
}

/** Error descriptions by exceeded limit. */
const refusals: ReadonlyMap<IssuerBound, string> = new Map([
  ['client-connections', 'this client has too many connections'],
  ['client-requests', 'this client has too many requests under way'],
  ['client-rate', 'this client sends too many requests'],
]);

const contextOf = (tls: TlsMaterial) =>
  ({ cert: tls.certificate, key: tls.key, ca: tls.bundle, minVersion: 'TLSv1.2' }) as const;

const headerOf = (request: IncomingMessage, name: string): string | null => {
  const value = request.headers[name];
  return typeof value === 'string' ? value : null;
};

const tooLarge = (): Reply =>
  jsonReply(413, { error: 'invalid_request', error_description: `the body is larger than ${MAX_BODY_BYTES} bytes` });

/** Never flushes headers before the body: some versions of Node leak memory then. */
function write(response: ServerResponse, reply: Reply): void {
  if (response.headersSent || response.destroyed) return;
  const headers = Object.entries(reply.headers).filter(([, value]) => value !== '');
  response.writeHead(reply.status, Object.fromEntries([...headers, ['content-length', Buffer.byteLength(reply.body)]]));
  response.end(reply.body);
}
