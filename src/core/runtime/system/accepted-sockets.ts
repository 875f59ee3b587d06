import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import type { After } from '../timers.ts';
import { restrictSocket, unixSocketProblem } from './unix-socket.ts';
import type { SocketAccess } from './unix-socket.ts';
import { errorCode } from './error-code.ts';

/** An address to listen on: TCP, or a Unix socket with those who may connect to it. */
export type AcceptAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string; readonly access: SocketAccess };

/** Limits of the connections of one address. */
export interface AcceptedSocketsOptions {
  /** Open connections. A further connection is closed at once. */
  readonly maxConnections: number;
  /** Longest wait for the first call of a connection, its handshake included. */
  readonly firstCallMs: number;
  /** Connections without a call yet. At the limit the oldest is ended: a client that means to call has called by then. */
  readonly maxSilent: number;
  /** Open connections of one IP address. A further connection is closed at once. Default no limit of its own. A Unix socket has none. */
  readonly maxOfAddress?: number;
  /** Whether an IP address may connect once more now. Default always. */
  readonly admits?: (address: string) => boolean;
  readonly after: After;
}

/** TCP keep-alive detects peers that disappeared. */
const SOCKET_OPTIONS = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 };

/**
 * The connections of one address, for a protocol library that reads them: bounded, named by their peer, and ended if the first call does
 * not come in time.
 *
 * Lifecycle: `listen` once, `close` once.
 */
export class AcceptedSockets {
  readonly #options: AcceptedSocketsOptions;
  readonly #sockets = new Map<string, Socket>();
  /** Connections without a call yet, by the names of their peers. Each value ends the wait for a call. */
  readonly #silent = new Map<string, () => void>();
  /** Open connections by IP address. */
  readonly #ofAddress = new Map<string, number>();
  #server: Server | null = null;
  #refused: Promise<void> | null = null;
  /** Number of connections of a Unix socket so far: it names them, as an address names those over TCP. */
  #local = 0;

  constructor(options: AcceptedSocketsOptions) {
    this.#options = options;
  }

  /**
   * Binds the address and passes on each connection. Gives the gRPC target, or why it cannot be bound.
   *
   * @param take takes a connection over; its peer is named as grpc-js names it: `address:port`, or `unix:number`
   */
  async listen(
    address: AcceptAddress,
    take: (socket: Socket, peer: string) => void,
  ): Promise<string | { readonly problem: string }> {
    const isLocal = address.kind === 'unix';
    const unfit = isLocal ? await unixSocketProblem(address.path) : null;
    if (unfit !== null) return { problem: unfit };
    let isRestricted = !isLocal;
    const server = createServer(SOCKET_OPTIONS, (socket) => {
      socket.on('error', () => undefined);
      if (isRestricted) this.#accept(socket, { isLocal, take });
      else socket.destroy();
    });
    server.maxConnections = this.#options.maxConnections;
    this.#server = server;
    try {
      const problem = await new Promise<string | null>((resolve, reject) => {
        server.once('error', reject);
        server.listen(isLocal ? { path: address.path } : { host: address.host, port: address.port }, () =>
          resolve(isLocal ? restrictSocket(address.path, address.access) : null),
        );
      });
      if (problem !== null) return { problem };
    } catch (error) {
      return { problem: `cannot listen: ${errorCode(error) ?? String(error)}` };
    }
    // An error in accepting a connection does not end the others.
    server.on('error', () => undefined);
    // INVARIANT: a client that connected before the socket was restricted is refused: after a whole turn of the loop all of them are accepted.
    await setImmediate();
    await setImmediate();
    isRestricted = true;
    return isLocal ? `unix:${address.path}` : `${address.host}:${(server.address() as AddressInfo).port}`;
  }

  /** A peer has made a call: stops waiting for it. */
  called(peer: string): void {
    this.#silent.get(peer)?.();
    this.#silent.delete(peer);
  }

  /** Ends the connection of a peer. */
  hangUp(peer: string): void {
    this.#sockets.get(peer)?.destroy();
  }

  /** Accepts no more connections. Resolves once all have ended. */
  refuse(): Promise<void> {
    const server = this.#server;
    this.#refused ??= new Promise((resolve) => (server === null ? resolve() : server.close(() => resolve())));
    return this.#refused;
  }

  /** Accepts no more connections and ends all. */
  async close(): Promise<void> {
    const ended = this.refuse();
    for (const socket of this.#sockets.values()) socket.destroy();
    await ended;
  }

  #accept(
    socket: Socket,
    { isLocal, take }: { readonly isLocal: boolean; readonly take: (socket: Socket, peer: string) => void },
  ): void {
    if (isLocal) this.#name(socket);
    const { remoteAddress: address } = socket;
    if (address === undefined || !(isLocal || this.#admits(address))) {
      socket.destroy();
      return;
    }
    const peer = `${address}:${socket.remotePort}`;
    this.#sockets.set(peer, socket);
    this.#ofAddress.set(address, (this.#ofAddress.get(address) ?? 0) + 1);
    this.#await(peer, socket);
    socket.once('close', () => {
      this.#sockets.delete(peer);
      this.called(peer);
      const left = (this.#ofAddress.get(address) ?? 1) - 1;
      if (left === 0) this.#ofAddress.delete(address);
      else this.#ofAddress.set(address, left);
    });
    take(socket, peer);
  }

  #admits(address: string): boolean {
    const { maxOfAddress = Infinity, admits } = this.#options;
    return (this.#ofAddress.get(address) ?? 0) < maxOfAddress && admits?.(address) !== false;
  }

  #await(peer: string, socket: Socket): void {
    const { maxSilent, firstCallMs, after } = this.#options;
    const [oldest] = this.#silent.size >= maxSilent ? this.#silent.keys() : [];
    if (oldest !== undefined) {
      this.called(oldest);
      this.hangUp(oldest);
    }
    this.#silent.set(
      peer,
      after(firstCallMs, () => socket.destroy()),
    );
  }

  /** Names a connection of a Unix socket, which has no address. gRPC takes the name of a peer from these. */
  #name(socket: Socket): void {
    this.#local += 1;
    Object.defineProperties(socket, { remoteAddress: { value: 'unix' }, remotePort: { value: this.#local } });
  }
}
