import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import {
  constants,
  createServer as createHttp2Server,
  type Http2Server,
  type IncomingHttpHeaders,
  type Http2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';
import type { Problem } from '../../../core/runtime/problem.ts';
import { byFirstBytes } from './first-bytes.ts';
import type { Forwarded } from '../forwarded.ts';
import { answerLocally, forwardHttp1 } from '../http1-request.ts';
import { answerStream, forwardHttp2 } from '../http2-request.ts';
import { type LocalAnswer, localAnswerBytes, refusal } from './local-answer.ts';
import type { GatedRequest, PassedRequest } from './local-gate.ts';
import { type HeaderLines, valuesOf } from '../passed-headers.ts';
import { ownUser, peerUsers } from './peer-users.ts';
import { Places } from './places.ts';
import { answerUpgrade, forwardUpgrade } from '../upgrade.ts';

/** Bounds of one listener. A body may take as long as it takes. */
const limits = {
  headersTimeout: 10_000,
  requestTimeout: 0,
  // Longer than the keep-alive of clients, so that no client sends on a connection that is closing.
  keepAliveTimeout: 120_000,
  maxHeaderSize: 32_768,
  connectionsCheckingInterval: 1_000,
} as const;
/** Default for the maximum number of connections. */
const MAX_CONNECTIONS = 512;
const http2Limits = {
  maxSessionMemory: 16,
  settings: { maxConcurrentStreams: 256, maxHeaderListSize: 32_768, initialWindowSize: 1_048_576 },
} as const;

/** The address of a listener: a port of 127.0.0.1 (0: any free port), or the path of a Unix socket. */
export type ListenerPlace = { readonly port: number } | { readonly path: string };

/** A request that may be forwarded, with what it is forwarded to. */
export interface AdmittedRequest extends PassedRequest {
  readonly forwarded: Forwarded;
  /** Path of the listener before that of the upstream. */
  readonly prefix: string;
  /** Called once the request is admitted. @param answer emits `close` when the call is over */
  readonly onCall?: (answer: { readonly once: (event: 'close', listener: () => void) => unknown }) => void;
}

/** Finds what a request is forwarded to, or refuses it. Synchronous: each request is judged by itself, whatever its connection carried before. */
export type Admit = (request: GatedRequest) => AdmittedRequest | LocalAnswer;

/**
 * A local address of one upstream. It speaks HTTP/1.1, and HTTP/2 with prior knowledge.
 *
 * Lifecycle: `open`, `serve` once, `close`.
 */
export class ForwardListener {
  readonly #server: Server;
  readonly #http2: Http2Server;
  readonly #places: Places;
  /** The connection of each session of HTTP/2. */
  readonly #sessions = new WeakMap<Http2Session, Socket>();
  /** 0 on a Unix socket. */
  readonly port: number;

  private constructor(server: Server, max: number) {
    this.#server = server;
    this.#http2 = createHttp2Server(http2Limits).on('sessionError', () => undefined);
    const address = server.address();
    this.port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    // The folder of a Unix socket keeps other users out.
    const own = this.port === 0 ? null : ownUser();
    this.#places = new Places({ max, own, usersOf: peerUsers });
    const [http1] = server.listeners('connection') as ((socket: Socket) => void)[];
    server.removeAllListeners('connection').on('connection', (socket: Socket) => {
      if (!this.#places.taken(socket)) return;
      byFirstBytes(socket, {
        http1: (spoken) => http1?.call(server, spoken),
        http2: (spoken) => {
          this.#http2.once('session', (session: Http2Session) => this.#sessions.set(session, spoken));
          this.#http2.emit('connection', spoken);
        },
      });
    });
  }

  /** Listens, without answering yet. @param max connections at once, bounded by `Places`; default 512 */
  static async open(place: ListenerPlace, max = MAX_CONNECTIONS): Promise<ForwardListener | Problem> {
    // Others go on as plain requests: a client that offers h2c is content with HTTP/1.1. @see RFC 9110 section 7.8
    const server = createServer({ ...limits, shouldUpgradeCallback: isForUpgrade });
    const failed = await new Promise<NodeJS.ErrnoException | null>((resolve) => {
      server.once('error', resolve);
      server.listen('path' in place ? place : { host: '127.0.0.1', port: place.port }, () => resolve(null));
    });
    if (failed === null) return new ForwardListener(server, max);
    const where = 'path' in place ? `the socket \`${place.path}\`` : `port ${place.port} of 127.0.0.1`;
    const why = failed.code === 'EADDRINUSE' ? 'it is already in use' : (failed.code ?? 'unknown error');
    return { problem: `cannot listen at ${where}: ${why}` };
  }

  /** Answers requests. */
  serve(admit: Admit): void {
    const last = new WeakMap<Socket, ServerResponse>();
    const handle = (request: IncomingMessage, response: ServerResponse): void => {
      last.set(request.socket, response);
      const passed = admitted(request, admit);
      if ('status' in passed) return answerLocally(response, passed);
      this.#places.admit(request.socket);
      passed.onCall?.(response);
      const { forwarded, rest, prefix } = passed;
      const call = { request, response, rest, prefix };
      // What Node.js refuses to send on, such as characters outside of ASCII in a path.
      return void forwardHttp1(call, forwarded).catch(() => answerLocally(response, malformed));
    };
    this.#server
      .on('request', handle)
      .on('checkContinue', handle)
      .on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
        // Node.js has removed its own error listener; an `error` event without a listener would end the process.
        socket.on('error', () => socket.destroy());
        const passed = admitted(request, admit);
        if ('status' in passed) return answerUpgrade({ request, socket }, passed);
        this.#places.admit(socket);
        // Node.js that cannot ask which requests to upgrade gives all of them.
        if (!isForUpgrade(request)) return answerUpgrade({ request, socket }, noUpgrade);
        passed.onCall?.(socket);
        const { forwarded, rest, prefix } = passed;
        const call = { request, socket, head, rest, prefix };
        return void forwardUpgrade(call, forwarded).catch(() => socket.destroy());
      })
      .on('connect', (request: IncomingMessage, socket: Socket) => {
        // Without a listener Node.js ends the connection without a word.
        socket.on('error', () => socket.destroy());
        answerUpgrade({ request, socket }, noTunnel);
      })
      .on('clientError', (_error: Error, socket: Socket) => {
        const response = last.get(socket);
        // INVARIANT: nothing is written into an answer that has begun.
        if (response?.closed === false) return answerLocally(response, malformed);
        const { body } = localAnswerBytes(malformed);
        const head = 'HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/json\r\n\r\n';
        return socket.writable ? void socket.end(head + body) : void socket.destroy();
      });
    this.#http2.on(
      'stream',
      (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number, lines: HeaderLines) => {
        // A reset by the client may come at any time.
        stream.on('error', () => undefined);
        const passed = admittedStream(lines, admit);
        if ('status' in passed) return void answerStream({ stream, lines }, passed);
        this.#places.admit(stream.session && this.#sessions.get(stream.session));
        passed.onCall?.(stream);
        const isEnded = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
        const { forwarded, rest, prefix } = passed;
        const call = { stream, method: headers[':method'] ?? '', lines, isEnded, rest, prefix };
        return void forwardHttp2(call, forwarded).catch(() => stream.destroy());
      },
    );
  }

  /** Refuses new connections and closes the open connections. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => void this.#server.close(() => resolve()));
    this.#places.destroy();
    await closed;
  }
}

const malformed = refusal(400, 'malformed', 'the request could not be read');
/** With this status clients of MCP begin a session of their own. */
const foreignSession = refusal(404, 'session', 'this session is not of this task: begin one at the URL of the task');
const noTunnel = refusal(405, 'method', 'CONNECT is not passed on: this address is no proxy, but a URL to call');
const noUpgrade = refusal(
  403,
  'upgrade',
  'connections are not upgraded here; `--forward …,upgrade=websocket` passes WebSocket',
);

/** Admits a request of HTTP/1.1, or refuses it. */
function admitted(request: IncomingMessage, admit: Admit): AdmittedRequest | LocalAnswer {
  const { rawHeaders: lines, method = '', url: target = '' } = request;
  const passed = admit({ method, target, lines, hosts: valuesOf(lines, 'host') });
  if ('status' in passed) return passed;
  // INVARIANT: a request with several lines of a coding or a protocol, or with an empty line, is refused.
  const codings = valuesOf(lines, 'transfer-encoding');
  if (codings.length > 0 && codings.join().toLowerCase() !== 'chunked')
    return refusal(400, 'malformed', 'the only transfer coding is chunked');
  const protocols = valuesOf(lines, 'upgrade');
  const protocol = protocols.join().toLowerCase();
  if (protocols.length > 0 && protocol !== 'h2c' && !(passed.forwarded.target.upgrades && protocol === 'websocket'))
    return noUpgrade;
  tellOwnAuthorization(lines, passed.forwarded);
  return passed.forwarded.mark?.isForeign(lines) === true ? foreignSession : withoutLocalUrls(passed);
}

/** Admits a stream of HTTP/2, or refuses it. */
function admittedStream(lines: HeaderLines, admit: Admit): AdmittedRequest | LocalAnswer {
  const [method = ''] = valuesOf(lines, ':method');
  const [target = ''] = valuesOf(lines, ':path');
  const hosts = new Set([...valuesOf(lines, ':authority'), ...valuesOf(lines, 'host')]);
  const passed = admit({ method, target, lines, hosts: [...hosts] });
  if ('status' in passed) return passed;
  tellOwnAuthorization(lines, passed.forwarded);
  return passed.forwarded.mark?.isForeign(lines) === true ? foreignSession : withoutLocalUrls(passed);
}

function withoutLocalUrls(admitted: AdmittedRequest): AdmittedRequest | LocalAnswer {
  const hidden = admitted.forwarded.localUrls.hiddenTarget(admitted.rest);
  return hidden === null
    ? refusal(400, 'local-url', 'the secret of the local address must not be in the rest of the path or in the query')
    : { ...admitted, rest: hidden };
}

function tellOwnAuthorization(lines: HeaderLines, { onOwnAuthorization }: Forwarded): void {
  if (valuesOf(lines, 'authorization').length > 0) onOwnAuthorization();
}

const isForUpgrade = ({ headers: { upgrade } }: IncomingMessage): boolean =>
  upgrade !== undefined && upgrade.toLowerCase() !== 'h2c';
