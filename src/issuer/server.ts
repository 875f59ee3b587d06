import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import { constants } from 'node:crypto';
import type { AddressInfo, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { isDeny } from '../decision/decision.ts';
import { leafFromDer } from '../identity/leaf-certificate.ts';
import { systemPorts } from '../runtime/ports.ts';
import { after } from '../runtime/timers.ts';
import type { After } from '../runtime/timers.ts';
import { bodyOf, MAX_BODY_BYTES } from './body.ts';
import { addressOf } from './bounds/address.ts';
import { Connections } from './bounds/connections.ts';
import type { ClientConnection } from './bounds/connections.ts';
import type { IssuerBound, IssuerLimits, OnRefused } from './bounds/limits.ts';
import { ClientRequests } from './bounds/requests.ts';
import { Turns } from './bounds/turns.ts';
import { oauthError } from './oauth-error.ts';
import { errorReply, jsonReply, type Reply } from './reply.ts';
import { routerOf } from './routes.ts';
import type { FoundRoute, FoundEndpoint } from './routes.ts';
import type { IssuerParts, IssuerServices } from './services.ts';

/** The issuer's own SVID and the bundle that clients are verified against, PEM. */
export interface TlsMaterial {
  readonly certificate: string;
  readonly key: string;
  readonly bundle: string;
}

/** Bounds of one connection; a request beyond one is answered or cut, never waited for. */
const connectionLimits = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  handshakeTimeout: 5_000,
  keepAliveTimeout: 5_000,
  maxHeaderSize: 8_192,
  connectionsCheckingInterval: 1_000,
} as const;

/** A request that is over. */
export interface AnsweredRequest {
  /** The path in the table of routes, such as `/tasks/{id}/complete`; `none` where there is no such path or method. */
  readonly route: string;
  /** HTTP status; `null` where the client went away before it was answered. */
  readonly status: number | null;
  /** From its headers to its answer, with the wait for its turn. */
  readonly tookMs: number;
}

/** Is told of each request that is over. It must not throw. */
export type OnAnswered = (answered: AnsweredRequest) => void;

/** What an issuer server is made with. */
export interface IssuerServerOptions {
  readonly services: IssuerParts;
  readonly tls: TlsMaterial;
  /** Told of faults that no client can be told of; never of a token or a key. */
  readonly onProblem?: (message: string) => void;
  readonly after?: After;
  /** Default that of the machine. */
  readonly monotonicMs?: () => number;
  /** What one client may take. */
  readonly limits: IssuerLimits;
  /** The order of the work, one for all servers of a process. Default one of its own, which no checks share. */
  readonly turns?: Turns;
  /** Told of each request that is refused and each connection that is cut, by the bound that it met. */
  readonly onRefused?: OnRefused;
  /** Told of each request once it is answered, or its client has gone. */
  readonly onAnswered?: OnAnswered;
  /**
   * `all` (default), or `signals`: `POST /signals` alone and without client certificates, for transmitters that have no SVID
   * to present; what they push is authenticated by its signature.
   */
  readonly serves?: 'all' | 'signals';
}

/**
 * The issuer over HTTPS with required client certificates, where it serves all. Lives from `listen` to `close`. A client
 * without a certificate of the bundle fails in the handshake.
 *
 * Each client is held to `limits`: by its SPIFFE ID, and where that is not known, by its address. What is over a limit is answered 429
 * with `retry-after`, where it can be answered; handshakes and requests are worked on in `turns`.
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
  /** Connections whose handshake is not over, by `placeOf` the other end. */
  readonly #unfinished = new Map<string, ClientConnection>();
  readonly #finished = new WeakMap<Socket, ClientConnection>();

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
        // A handshake that is asked for again, on a connection that is there, would be in nobody's turn.
        secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
        ALPNProtocols: ['http/1.1'],
      },
      (request, response) => void this.#serve(request, response),
    );
    this.#holdHandshakes();
    this.#server.on('secureConnection', (socket) => this.#identify(socket, servesAll));
  }

  /** Puts the turn of a handshake between the server's accepting a connection and its beginning of TLS. */
  #holdHandshakes(): void {
    const begin = this.#server.listeners('connection');
    this.#server.removeAllListeners('connection');
    this.#server.on('connection', (socket: Socket) => {
      // Until TLS listens to it.
      socket.on('error', () => undefined);
      const address = addressOf(socket.remoteAddress);
      const connection = socket.destroyed ? null : this.#connections.accept(socket, address);
      if (connection === null) return;
      const place = placeOf(socket);
      this.#unfinished.set(place, connection);
      socket.once('close', () => {
        if (this.#unfinished.get(place) === connection) this.#unfinished.delete(place);
      });
      void this.#beginInTurn(socket, address, begin);
    });
  }

  /** Begins TLS once the turn of the handshake has come. Never rejects. */
  async #beginInTurn(socket: Socket, address: string, begin: ReturnType<Server['listeners']>): Promise<void> {
    try {
      const outcome = await this.#turns.wait('handshake', address, () => socket.destroyed);
      if (outcome === 'late') this.#onRefused('turn', address);
      if (outcome !== 'turn') socket.destroy();
      else for (const listener of begin) Reflect.apply(listener, this.#server, [socket]);
    } catch (error) {
      this.#onProblem(`a handshake could not be begun: ${error instanceof Error ? error.message : String(error)}`);
      socket.destroy();
    }
  }

  #identify(socket: TLSSocket, byCertificate: boolean): void {
    const connection = this.#unfinished.get(placeOf(socket));
    if (connection === undefined) {
      socket.destroy();
      return;
    }
    this.#unfinished.delete(placeOf(socket));
    this.#finished.set(socket, connection);
    const leaf = byCertificate ? leafOf(socket) : null;
    this.#connections.identify(connection, leaf ?? connection.address);
  }

  /** Listens; rejects where the address cannot be had. Port 0 takes a free one. */
  async listen(host: string, port: number): Promise<AddressInfo> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    this.#server.on('error', (error) => this.#onProblem(`the issuer's socket failed: ${error.message}`));
    // A server that listens on TCP has an address of this form.
    return this.#server.address() as AddressInfo;
  }

  /** Takes a renewed SVID or bundle for new connections. Throws where it is not PEM that fits together. */
  reload(tls: TlsMaterial): void {
    this.#server.setSecureContext(contextOf(tls));
  }

  /** Takes no new request, lets those under way come to their end for at most `graceMs`, then cuts them. */
  async close(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#server.closeIdleConnections();
    for (const { socket } of this.#unfinished.values()) socket.destroy();
    this.#requests.close();
    const cancel = this.#after(graceMs, () => this.#server.closeAllConnections());
    await closed;
    cancel();
  }

  /** Requests that are not answered yet. */
  get inFlight(): number {
    return this.#inFlight;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const connection = this.#finished.get(request.socket);
    if (connection === undefined || !this.#connections.begin(connection)) return;
    response.once('close', () => this.#connections.end(connection));
    const beganMs = this.#monotonicMs();
    const [path = '', query] = (request.url ?? '').split('?', 2);
    const found = this.#find(request.method ?? '', path);
    this.#inFlight += 1;
    try {
      write(
        response,
        'status' in found ? closing(found) : await this.#answer(found, { request, response, connection, path, query }),
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

  async #answer(found: FoundEndpoint, { request, response, connection, path, query }: Asked): Promise<Reply> {
    if (query !== undefined) return closing(errorReply(oauthError('invalid_request', 'no query is taken here')));
    const client = connection.client ?? connection.address;
    if (found.kind === 'ordinary' && this.#connections.isSurplus(connection)) {
      return closing(this.#refused('client-connections', client));
    }
    const bound = this.#requests.enter(client, found.kind);
    try {
      const body = await bodyOf(request);
      if (body === null) return closing(tooLarge());
      if (bound === null) return await this.#inTurn(found, { request, response, client, path, body });
      await this.#requests.hold(client, response);
      return this.#refused(bound, client);
    } finally {
      if (bound === null) this.#requests.leave(client, found.kind);
    }
  }

  /** Answers once the turn of the request has come. */
  async #inTurn(found: FoundEndpoint, { request, response, client, path, body }: Arrived): Promise<Reply> {
    const outcome = await this.#turns.wait(found.kind, client, () => response.destroyed);
    if (outcome !== 'turn') {
      if (outcome === 'late') this.#onRefused('turn', client);
      return errorReply(oauthError('temporarily_unavailable', 'too many requests wait'));
    }
    return found.endpoint(
      {
        path,
        body,
        contentType: request.headers['content-type'],
        hasAuthorization: request.headers.authorization !== undefined,
        traceparent: headerOf(request, 'traceparent'),
        certificate: request.socket instanceof TLSSocket ? request.socket.getPeerX509Certificate()?.raw : undefined,
        dpop: request.headersDistinct['dpop'] ?? [],
        taskId: found.taskId,
        serverId: found.serverId,
      },
      this.#servicesFor(found, client),
    );
  }

  /** What this request is answered with, whatever is reloaded meanwhile. */
  #servicesFor({ kind }: FoundEndpoint, client: string): IssuerServices {
    const policies = this.#services.policies();
    return { ...this.#services, policies, nextTurn: () => this.#turns.next(kind, client) };
  }

  #refused(bound: IssuerBound, client: string): Reply {
    this.#onRefused(bound, client);
    return errorReply(oauthError('slow_down', refusals.get(bound) ?? 'too much of this client'));
  }
}

/** A request whose headers are there. */
interface Asked {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly connection: ClientConnection;
  readonly path: string;
  readonly query: string | undefined;
}

/** A request whose body is there. */
interface Arrived {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly client: string;
  readonly path: string;
  readonly body: Uint8Array;
}

/** What a client is told, by the bound that it met. */
const refusals: ReadonlyMap<IssuerBound, string> = new Map([
  ['client-connections', 'this client has too many connections'],
  ['client-requests', 'this client has too many requests under way'],
  ['client-rate', 'this client asks too often'],
]);

/** Of the other end of a connection, unique among those that are open. */
const placeOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`;

/** The SPIFFE ID in the certificate of a client; `null` where it has none. */
function leafOf(socket: TLSSocket): string | null {
  const der = socket.getPeerX509Certificate()?.raw;
  const leaf = der === undefined ? null : leafFromDer(der);
  return leaf === null || isDeny(leaf) ? null : leaf.id;
}

const contextOf = (tls: TlsMaterial) =>
  ({ cert: tls.certificate, key: tls.key, ca: tls.bundle, minVersion: 'TLSv1.2' }) as const;

const headerOf = (request: IncomingMessage, name: string): string | null => {
  const value = request.headers[name];
  return typeof value === 'string' ? value : null;
};

/** The body was not read, so the connection cannot carry another request. */
const closing = (reply: Reply): Reply => ({ ...reply, headers: { ...reply.headers, connection: 'close' } });

const tooLarge = (): Reply =>
  jsonReply(413, { error: 'invalid_request', error_description: `the body is larger than ${MAX_BODY_BYTES} bytes` });

/** Never flushes headers ahead of the body: on some versions of Node that leaks memory of the connection. */
function write(response: ServerResponse, reply: Reply): void {
  if (response.headersSent || response.destroyed) return;
  const headers = Object.entries(reply.headers).filter(([, value]) => value !== '');
  response.writeHead(reply.status, Object.fromEntries([...headers, ['content-length', Buffer.byteLength(reply.body)]]));
  response.end(reply.body);
}
