import { chmod } from 'node:fs/promises';
import {
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { failAnswer, GrpcStatus, refuseHttp } from './grpc-answer.ts';
import { unixSocketProblem } from './socket.ts';

/** What is done with a call of a method. It adds the listeners of the stream itself; an error of the stream is no fault. */
export type GrpcMethod = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

/** What stands in the way of an address. */
export interface BindProblem {
  readonly problem: string;
}

/** Of one address; Envoy opens one for each of its workers. One more is closed at once. */
const MAX_CONNECTIONS = 1_024;

/** What one connection may have received that nobody has read yet; what a call may is in the settings. */
const CONNECTION_WINDOW_BYTES = 16 * 1_024 * 1_024;

/**
 * Bounds of a connection. Envoy is a trusted peer, but what it does follows what its clients do: it resets a stream for each of
 * them that goes away, and with the default of 33 resets a second a few of them would take down the connection and the checks of
 * everybody else with it. The other floods stay bounded as Node and nghttp2 bound them: unanswered pings and settings,
 * invalid frames, rejected streams; each ends its connection alone.
 */
const OPTIONS: ServerOptions = {
  settings: {
    maxConcurrentStreams: 1_024,
    // A message with a body of 64 KiB and its headers arrives without a round trip.
    initialWindowSize: 256 * 1_024,
    maxHeaderListSize: 32 * 1_024,
  },
  maxHeaderListPairs: 128,
  streamResetBurst: 100_000,
  streamResetRate: 20_000,
  // In megabytes, of what nghttp2 and the answers that are not taken hold: over it new streams are refused.
  maxSessionMemory: 64,
};

/** For a client to hear that it should open its calls elsewhere, before one is refused. */
const NOTICE_MS = 20;
/** For connections that were cut off to be gone. */
const CUT_MS = 1_000;
/** The largest number of a stream of a client: none is refused yet. */
const LAST_STREAM = 0x7fff_ffff;

/**
 * A gRPC server without a codec: it finds the method of a call, and the method does the rest. HTTP/2 with prior knowledge and
 * nothing else, so that no HTTP/1 upgrade is there to be misused.
 *
 * Lifecycle: `listen` as often as there are addresses, `close` once.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
export class GrpcServer {
  readonly #methods: ReadonlyMap<string, GrpcMethod>;
  readonly #servers: Http2Server[] = [];
  readonly #sessions = new Set<ServerHttp2Session>();

  constructor(methods: ReadonlyMap<string, GrpcMethod>) {
    this.#methods = methods;
  }

  /**
   * Opens an address.
   *
   * @param address `unix:/absolute/path` (mode 0660) or `host:port`; port 0 takes a free one
   * @returns the address as bound, or what stands in the way
   */
  async listen(address: string): Promise<string | BindProblem> {
    const path = address.startsWith('unix:') ? address.slice('unix:'.length) : null;
    const problem = path === null ? null : await unixSocketProblem(path);
    if (problem !== null) return { problem };
    const server = createServer(OPTIONS);
    server.maxConnections = MAX_CONNECTIONS;
    server.on('session', this.#opened);
    server.on('stream', this.#route);
    // What is wrong with one connection ends that one.
    server.on('sessionError', () => undefined);
    const failure = await bound(server, path === null ? tcpAddress(address) : { path });
    if (failure !== null) return { problem: bindProblem(address, failure) };
    this.#servers.push(server);
    if (path === null) return `${hostOf(address)}:${portOf(server)}`;
    await chmod(path, 0o660);
    return address;
  }

  /** Takes no more calls, lets those that are open end, and cuts off what is left after `graceMs`. Never rejects. */
  async close(graceMs: number): Promise<void> {
    for (const session of this.#sessions) session.goaway(0, LAST_STREAM);
    if (this.#sessions.size > 0) await elapsed(Math.min(NOTICE_MS, graceMs));
    const done = Promise.all(this.#servers.splice(0).map(stopped));
    for (const session of this.#sessions) session.close();
    await Promise.race([done, elapsed(graceMs)]);
    for (const session of this.#sessions) session.destroy();
    await Promise.race([done, elapsed(CUT_MS)]);
  }

  readonly #opened = (session: ServerHttp2Session): void => {
    this.#sessions.add(session);
    session.once('close', () => this.#sessions.delete(session));
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
  };

  readonly #route = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void => {
    stream.on('error', () => undefined);
    const method = this.#methods.get(headers[':path'] ?? '');
    if (headers[':method'] !== 'POST') refuseHttp(stream, 405);
    else if (headers['content-type']?.startsWith('application/grpc') !== true) refuseHttp(stream, 415);
    else if (method === undefined) failAnswer(stream, GrpcStatus.unimplemented, 'no such method');
    else method(stream, headers);
  };
}

const elapsed = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });

/** `null` once it listens. */
const bound = (server: Http2Server, where: ListenWhere): Promise<Error | null> =>
  new Promise((resolve) => {
    server.once('error', resolve);
    server.listen(where, () => {
      server.removeListener('error', resolve);
      resolve(null);
    });
  });

interface ListenWhere {
  readonly path?: string;
  readonly host?: string;
  readonly port?: number;
}

/** Stops to listen; resolves once all connections have gone. */
const stopped = (server: Http2Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve());
  });

const hostOf = (address: string): string => address.slice(0, address.lastIndexOf(':'));

const tcpAddress = (address: string): ListenWhere => ({
  host: hostOf(address).replace(/^\[(.*)\]$/, '$1'),
  port: Number(address.slice(address.lastIndexOf(':') + 1)),
});

const portOf = (server: Http2Server): number => (server.address() as AddressInfo).port;

const bindProblem = (address: string, error: Error): string =>
  error.message.includes('EADDRINUSE')
    ? `address in use: \`${address}\``
    : `cannot listen on \`${address}\`: ${error.message}`;
