import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { TLSSocket } from 'node:tls';
import { after } from '../timers.ts';
import type { After } from '../timers.ts';
import { bodyOf, MAX_BODY_BYTES } from './body.ts';
import { oauthError } from './oauth-error.ts';
import { errorReply, jsonReply, type Reply } from './reply.ts';
import { routerOf } from './routes.ts';
import type { Found } from './routes.ts';
import type { IssuerServices } from './services.ts';

/** The issuer's own SVID and the bundle that clients are verified against, PEM. */
export interface TlsMaterial {
  readonly certificate: string;
  readonly key: string;
  readonly bundle: string;
}

/** Bounds of the server; a request beyond one is answered or cut, never waited for. */
const limits = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  handshakeTimeout: 5_000,
  keepAliveTimeout: 5_000,
  maxHeaderSize: 8_192,
  connectionsCheckingInterval: 1_000,
} as const;
const MAX_CONNECTIONS = 1_024;

/** What an issuer server is made with. */
export interface IssuerServerOptions {
  readonly services: IssuerServices;
  readonly tls: TlsMaterial;
  /** Told of faults that no client can be told of; never of a token or a key. */
  readonly onProblem?: (message: string) => void;
  readonly after?: After;
  /**
   * `all` (default), or `signals`: `POST /signals` alone and without client certificates, for transmitters that have no SVID
   * to present; what they push is authenticated by its signature.
   */
  readonly serves?: 'all' | 'signals';
}

/**
 * The issuer over HTTPS with required client certificates, where it serves all. Lives from `listen` to `close`. A client
 * without a certificate of the bundle fails in the handshake.
 */
export class IssuerServer {
  readonly #services: IssuerServices;
  readonly #server: Server;
  readonly #find: (method: string, path: string) => Found;
  readonly #onProblem: (message: string) => void;
  readonly #after: After;

  constructor(options: IssuerServerOptions) {
    this.#services = options.services;
    const servesAll = options.serves !== 'signals';
    this.#find = routerOf(options.services.settings.url, options.serves);
    this.#onProblem = options.onProblem ?? (() => undefined);
    this.#after = options.after ?? after;
    this.#server = createServer(
      {
        ...limits,
        ...contextOf(options.tls),
        requestCert: servesAll,
        rejectUnauthorized: servesAll,
        ALPNProtocols: ['http/1.1'],
      },
      (request, response) => void this.#serve(request, response),
    );
    this.#server.maxConnections = MAX_CONNECTIONS;
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
    const cancel = this.#after(graceMs, () => this.#server.closeAllConnections());
    await closed;
    cancel();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      write(response, await this.#answer(request));
    } catch (error) {
      if (request.destroyed && !request.complete) return;
      this.#onProblem(`an issuer request failed: ${error instanceof Error ? error.message : String(error)}`);
      write(response, errorReply(oauthError('server_error', 'the request failed')));
    }
  }

  async #answer(request: IncomingMessage): Promise<Reply> {
    const [path = '', query] = (request.url ?? '').split('?', 2);
    const found = this.#find(request.method ?? '', path);
    if ('status' in found) return closing(found);
    if (query !== undefined) return closing(errorReply(oauthError('invalid_request', 'no query is taken here')));
    const body = await bodyOf(request);
    if (body === null) return closing(tooLarge());
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
      this.#services,
    );
  }
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
