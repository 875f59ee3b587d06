import { createServer, type Server, type Socket } from 'node:net';
import { isLoopback } from '../runtime/loopback-host.ts';
import { SharedTimeout } from '../runtime/shared-timeout.ts';
import { after } from '../runtime/timers.ts';
import { BOUNDS } from './bounds.ts';
import { Http2Connection } from './connection.ts';
import { ErrorCode } from './frame.ts';
import type { RequestHead } from './request-head.ts';
import type { AnswerableStream, Http2Stream, StreamEvents } from './stream.ts';

/** Where a server listens: a Unix socket, or a port of a loopback address. */
export type ListenWhere = { readonly path: string } | { readonly host: string; readonly port: number };

/** What a server is made with. */
export interface Http2ServerOptions {
  /** A request has begun; the result is told what comes of it. What is kept of the head is for it to say. */
  readonly onStream: (stream: AnswerableStream, head: RequestHead) => StreamEvents;
  readonly monotonicMs: () => number;
  /**
   * Whether what has come is enough for now, asked after each piece: no connection is then read until `readOn`, which who says so
   * calls. Default never.
   */
  readonly isCrowded?: () => boolean;
  /** Told of what `onStream` or what it gave has thrown, which resets their stream, and of connections that could not be taken. */
  readonly onFault?: (error: unknown) => void;
}

/** Of one address; Envoy opens one for each of its workers. One more is closed at once. */
const MAX_CONNECTIONS = 1_024;
/** The system finds out by itself that another machine is gone without a word: else its connections would stay for ever. */
const SOCKET_OPTIONS = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 };
/** For a client to hear that it should open its calls elsewhere, before one is refused. */
const NOTICE_MS = 20;
/** For connections that were cut off to be gone. */
const CUT_MS = 1_000;

/**
 * A server of HTTP/2 with prior knowledge and nothing else, so that no upgrade is there to be misused. What is sent gathers, and
 * goes out with `flush`, or by itself at the end of the turn of the event loop.
 *
 * Lifecycle: `listen` as often as there are addresses, `close` once.
 */
export class Http2Server {
  readonly #options: Http2ServerOptions;
  readonly #servers: Server[] = [];
  readonly #connections = new Set<Http2Connection>();
  readonly #gathered = new Set<Http2Connection>();
  /** No connection is read, since it was enough. */
  #waits = false;
  /** Streams that were answered and whose clients have not said all. */
  readonly #lettingGo: SharedTimeout<Http2Stream>;
  #isFlushing = false;
  #onEmpty: () => void = () => undefined;

  constructor(options: Http2ServerOptions) {
    this.#options = options;
    const { monotonicMs } = options;
    this.#lettingGo = new SharedTimeout({
      ms: BOUNDS.letGoMs,
      max: BOUNDS.lettingGo,
      onTimeout: (stream) => stream.reset(ErrorCode.none),
      monotonicMs,
      after,
    });
  }

  /**
   * Listens somewhere. INVARIANT: on this machine alone, by the address that was asked for and by the one that was bound: what is
   * spoken is in clear, and nobody proves who they are.
   *
   * @returns the server as bound, or the error of binding
   */
  async listen(where: ListenWhere): Promise<{ readonly server: Server } | { readonly failure: Error }> {
    if ('host' in where && !isLoopback(where.host)) return { failure: notLoopback(where.host) };
    const server = createServer(SOCKET_OPTIONS, this.#opened);
    server.maxConnections = MAX_CONNECTIONS;
    const failure = await bound(server, where);
    if (failure !== null) return { failure };
    const address = server.address();
    if (address !== null && typeof address === 'object' && !isLoopback(address.address)) {
      server.close();
      return { failure: notLoopback(address.address) };
    }
    // A connection that could not be taken is one less, and nothing else.
    server.on('error', this.#tellFault);
    this.#servers.push(server);
    return { server };
  }

  /** Sends what has gathered. */
  flush(): void {
    for (const connection of this.#gathered) {
      this.#gathered.delete(connection);
      connection.flush();
    }
  }

  /** Reads on after it was enough: first where least was read, since of those that have something the system names the first first. */
  readOn(): void {
    if (!this.#waits) return;
    this.#waits = false;
    const read = [...this.#connections].filter((connection) => connection.wasRead);
    for (const connection of this.#connections) if (!connection.wasRead) connection.readOn();
    for (const connection of read) connection.readOn();
  }

  readonly #noteRead = (): void => {
    if (this.#waits || this.#options.isCrowded?.() !== true) return;
    this.#waits = true;
    for (const connection of this.#connections) connection.wait();
  };

  /** Takes no more streams, lets those that are open end, and cuts off what is left after `graceMs`. Never rejects. */
  async close(graceMs: number): Promise<void> {
    for (const connection of this.#connections) connection.warn();
    if (this.#connections.size > 0) await elapsed(Math.min(NOTICE_MS, graceMs));
    // Node says that a server has stopped a moment before its last connections hear that they are gone.
    const done = Promise.all([...this.#servers.splice(0).map(stopped), this.#emptied()]);
    for (const connection of this.#connections) connection.close();
    await orElapsed(done, graceMs);
    for (const connection of this.#connections) connection.destroy();
    await orElapsed(done, CUT_MS);
    this.#lettingGo.close();
  }

  /** Resolves once all connections there are have gone. */
  #emptied(): Promise<void> {
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
      if (this.#connections.size === 0) resolve();
    });
  }

  readonly #opened = (socket: Socket): void => {
    this.#connections.add(
      new Http2Connection(socket, {
        ...this.#options,
        endLater: (stream) => this.#lettingGo.add(stream),
        onGathered: this.#noteGathered,
        onRead: this.#noteRead,
        onGone: (connection) => {
          this.#connections.delete(connection);
          this.#gathered.delete(connection);
          if (this.#connections.size === 0) this.#onEmpty();
        },
        onFault: this.#tellFault,
      }),
    );
  };

  readonly #tellFault = (error: unknown): void => {
    try {
      this.#options.onFault?.(error);
    } catch {
      // Who is told of faults has one of its own: all else goes on.
    }
  };

  readonly #noteGathered = (connection: Http2Connection): void => {
    this.#gathered.add(connection);
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    setImmediate(this.#flushLate);
  };

  readonly #flushLate = (): void => {
    this.#isFlushing = false;
    this.flush();
  };
}

const notLoopback = (host: string): Error =>
  new Error(
    `\`${host}\` is not a loopback address, and what is asked here is in clear and without authentication: listen on a Unix socket or on loopback, beside Envoy`,
  );

const elapsed = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });

/** Waits for something no longer than that, and leaves no timer. */
async function orElapsed(done: Promise<unknown>, ms: number): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const cancel = after(ms, resolve);
  await Promise.race([done, late]);
  cancel();
}

/** `null` once it listens. */
const bound = (server: Server, where: ListenWhere): Promise<Error | null> =>
  new Promise((resolve) => {
    server.once('error', resolve);
    server.listen(where, () => {
      server.removeListener('error', resolve);
      resolve(null);
    });
  });

/** Stops to listen; resolves once all connections have gone. */
const stopped = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve());
  });
