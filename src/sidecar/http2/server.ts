import { createServer, type Server, type Socket } from 'node:net';
import { isLoopback } from '../../core/runtime/loopback-host.ts';
import { SharedTimeout } from '../../core/runtime/shared-timeout.ts';
import { after } from '../../core/runtime/timers.ts';
import { BOUNDS } from './bounds.ts';
import { Http2Connection } from './connection.ts';
import { ErrorCode } from './frame.ts';
import type { RequestHead } from './request-head.ts';
import type { AnswerableStream, Http2Stream, StreamEvents } from './stream.ts';

/** A listen address: a Unix socket, or a port of a loopback address. */
export type ListenWhere = { readonly path: string } | { readonly host: string; readonly port: number };

/** What a server needs. */
export interface Http2ServerOptions {
  /** A request has begun. Returns the listener of its stream, which keeps what it needs of the head. */
  readonly onStream: (stream: AnswerableStream, head: RequestHead) => StreamEvents;
  readonly monotonicMs: () => number;
  /**
   * Backpressure: whether enough work is queued, asked after each chunk. If true, no connection is read until `readOn` is called. Default:
   * never.
   */
  readonly isCrowded?: () => boolean;
  /**
   * Called with errors of `onStream` and its listeners, which reset their stream, and of connections that could not be
   * accepted.
   */
  readonly onFault?: (error: unknown) => void;
  /** Time that `close` gives clients to see the GOAWAY before their next stream is refused. Default 20 ms. */
  readonly noticeMs?: number;
}

/** Connections per address; further connections are closed at once. Envoy opens a connection per worker thread. */
const MAX_CONNECTIONS = 1_024;
/** TCP keep-alive detects peers that disappeared; their connections would otherwise stay for ever. */
const SOCKET_OPTIONS = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 };
const NOTICE_MS = 20;
/** Time for destroyed connections to close. */
const CUT_MS = 1_000;

/**
 * An HTTP/2 server with prior knowledge only, so there is no upgrade to misuse. Frames are buffered and sent with `flush`, or
 * at the end of the turn of the event loop.
 *
 * Lifecycle: `listen` once per address, `close` once.
 */
export class Http2Server {
  readonly #options: Http2ServerOptions;
  readonly #servers: Server[] = [];
  readonly #connections = new Set<Http2Connection>();
  /** Connections with buffered frames, and some that have closed meanwhile. */
  readonly #gathered: Http2Connection[] = [];
  /** Reading is paused on all connections. */
  #waits = false;
  /** Streams that were answered and not yet half-closed by their client. */
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
   * Starts to listen. INVARIANT: on Unix sockets and loopback only, checked for the requested and for the bound address: the
   * protocol is cleartext without authentication.
   *
   * @returns the bound server, or the error of binding
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
    // The other connections go on.
    server.on('error', this.#tellFault);
    this.#servers.push(server);
    return { server };
  }

  /** Accepts no more connections at a bound server; those that are open go on, until `close`. */
  release(server: Server): void {
    const at = this.#servers.indexOf(server);
    if (at === -1) return;
    this.#servers.splice(at, 1);
    server.close();
  }

  /** Sends the buffered frames of all connections, in the order in which they began to buffer. */
  flush(): void {
    // A connection may gather again while another is flushed.
    for (let index = 0; index < this.#gathered.length; index += 1) {
      const connection = this.#gathered[index];
      if (connection?.isGathered !== true) continue;
      connection.isGathered = false;
      connection.flush();
    }
    this.#gathered.length = 0;
  }

  /**
   * Resumes reading. Connections that were read least come first: the system reports ready sockets in the order they are
   * resumed.
   */
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

  /** Graceful stop: refuses new streams, lets open streams finish, and destroys what is left after `graceMs`. Never rejects. */
  async close(graceMs: number): Promise<void> {
    for (const connection of this.#connections) connection.warn();
    if (this.#connections.size > 0) await elapsed(Math.min(this.#options.noticeMs ?? NOTICE_MS, graceMs));
    // Node reports a server as closed slightly before its last connections emit `close`.
    const done = Promise.all([...this.#servers.splice(0).map(stopped), this.#emptied()]);
    for (const connection of this.#connections) connection.close();
    await orElapsed(done, graceMs);
    for (const connection of this.#connections) connection.destroy();
    await orElapsed(done, CUT_MS);
    this.#lettingGo.close();
  }

  /** Resolves once no connection is left. */
  #emptied(): Promise<void> {
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
      if (this.#connections.size === 0) resolve();
    });
  }

  readonly #opened = (socket: Socket): void => {
    // Connections of released servers count too.
    if (this.#connections.size >= MAX_CONNECTIONS * Math.max(1, this.#servers.length)) {
      socket.destroy();
      return;
    }
    this.#connections.add(
      new Http2Connection(socket, {
        ...this.#options,
        endLater: (stream) => this.#lettingGo.add(stream),
        onGathered: this.#noteGathered,
        onRead: this.#noteRead,
        onGone: (connection) => {
          this.#connections.delete(connection);
          connection.isGathered = false;
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
      // A fault handler that throws must not stop the rest.
    }
  };

  readonly #noteGathered = (connection: Http2Connection): void => {
    if (!connection.isGathered) this.#gathered.push(connection);
    connection.isGathered = true;
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
    `\`${host}\` is not a loopback address, and this protocol is cleartext without authentication: listen on a Unix socket or on loopback, beside Envoy`,
  );

const elapsed = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });

/** Resolves when `done` does, or after `ms`. Leaves no timer behind. */
async function orElapsed(done: Promise<unknown>, ms: number): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const cancel = after(ms, resolve);
  await Promise.race([done, late]);
  cancel();
}

/** Resolves with `null` once the server listens, or with the error. */
const bound = (server: Server, where: ListenWhere): Promise<Error | null> =>
  new Promise((resolve) => {
    server.once('error', resolve);
    server.listen(where, () => {
      server.removeListener('error', resolve);
      resolve(null);
    });
  });

/** Stops listening. Resolves once all its connections have closed. */
const stopped = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve());
  });
