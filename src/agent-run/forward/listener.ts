import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Problem } from '../../runtime/problem.ts';
import type { Forwarded } from './forwarded.ts';
import { answerLocally, forwardHttp1, hasOwnAuthorization } from './http1-request.ts';
import { localAnswerBytes, refusal } from './local-answer.ts';
import { gated, type LocalGate } from './local-gate.ts';
import { valuesOf } from './passed-headers.ts';

/** Bounds of one listener. A body may take as long as it takes. */
const limits = {
  headersTimeout: 10_000,
  requestTimeout: 0,
  // Longer than clients keep theirs, so that none sends on a connection that is closing.
  keepAliveTimeout: 120_000,
  maxHeaderSize: 32_768,
  connectionsCheckingInterval: 1_000,
} as const;
const MAX_CONNECTIONS = 512;

/** Where a listener is: a port of 127.0.0.1 (0: a free one), or the path of a Unix socket. */
export type ListenerPlace = { readonly port: number } | { readonly path: string };

/**
 * A local address of one upstream, for one command.
 *
 * Lifecycle: `open`, `serve` once, `close`.
 */
export class ForwardListener {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** 0 on a Unix socket. */
  readonly port: number;

  private constructor(server: Server) {
    this.#server = server;
    const address = server.address();
    this.port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  /** Listens, without answering yet. */
  static async open(place: ListenerPlace): Promise<ForwardListener | Problem> {
    const server = createServer(limits);
    server.maxConnections = MAX_CONNECTIONS;
    const failed = await new Promise<NodeJS.ErrnoException | null>((resolve) => {
      server.once('error', resolve);
      server.listen('path' in place ? place : { host: '127.0.0.1', port: place.port }, () => resolve(null));
    });
    if (failed === null) return new ForwardListener(server);
    const where = 'path' in place ? `the socket \`${place.path}\`` : `port ${place.port} of 127.0.0.1`;
    const why = failed.code === 'EADDRINUSE' ? 'it is already in use' : (failed.code ?? 'unknown error');
    return { problem: `cannot listen at ${where}: ${why}` };
  }

  /** Answers requests. @param prefix path of this listener before that of the upstream */
  serve(forwarded: Forwarded, { gate, prefix }: { readonly gate: LocalGate; readonly prefix: string }): void {
    const handle = (request: IncomingMessage, response: ServerResponse): void => {
      const passed = gated(
        {
          method: request.method ?? '',
          target: request.url ?? '',
          lines: request.rawHeaders,
          hosts: valuesOf(request.rawHeaders, 'host'),
        },
        gate,
      );
      if ('status' in passed) return answerLocally(response, passed);
      const problem = requestProblem(request);
      if (problem !== null) return answerLocally(response, problem);
      if (hasOwnAuthorization(request)) forwarded.onOwnAuthorization();
      void forwardHttp1({ request, response, rest: passed.rest, prefix }, forwarded).catch(() => response.destroy());
    };
    this.#server
      .on('request', handle)
      .on('checkContinue', handle)
      .on('clientError', (_error: Error, socket: Socket) => {
        if (!socket.writable) {
          socket.destroy();
          return;
        }
        const { body } = localAnswerBytes(refusal(400, 'malformed', 'the request could not be read'));
        socket.end(`HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/json\r\n\r\n${body}`);
      });
  }

  /** Refuses new connections and closes open ones. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => void this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

/** What this forwarder does not pass on. */
function requestProblem({ headers }: IncomingMessage) {
  const coding = headers['transfer-encoding'];
  if (coding !== undefined && coding.toLowerCase() !== 'chunked')
    return refusal(400, 'malformed', 'the only transfer coding is chunked');
  const upgrade = headers.upgrade?.toLowerCase() ?? 'h2c';
  // A client that offers h2c goes on with HTTP/1.1 where the server does. @see RFC 9110 section 7.8
  if (upgrade !== 'h2c')
    return refusal(
      403,
      'upgrade',
      'connections are not upgraded here: `--forward …,upgrade=websocket` allows WebSocket',
    );
  return null;
}
