import { createConnection, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** From the client to the server, or back. */
export type Direction = 'up' | 'down';

/** What a link does to the bytes of one direction. */
export type Flow =
  | { readonly kind: 'open' }
  /** Each byte arrives so much later; throughput is unchanged. */
  | { readonly kind: 'delay'; readonly ms: number }
  | { readonly kind: 'slow'; readonly bytesPerSecond: number }
  /** A partition: nothing arrives, not even the end of a connection, until the flow changes. Then all of it does, as TCP sends it again. */
  | { readonly kind: 'held' };

/** A Unix socket cannot be reset. */
const reset = (socket: Socket): unknown =>
  socket.remoteAddress === undefined ? socket.destroy() : socket.resetAndDestroy();

/** Unread bytes of one direction of one connection; then the sender is made to wait. */
const MOST_QUEUED = 4 * 1_024 * 1_024;
/** A slow link hands out pieces, so that its rate holds for a second already. */
const PIECES_PER_SECOND = 20;

type Place = { readonly host: string; readonly port: number } | { readonly path: string };

interface Connection {
  readonly client: Socket;
  readonly server: Socket;
  readonly lanes: Readonly<Record<Direction, Lane>>;
}

/**
 * A proxy before one server of loopback or of a Unix socket, which the test makes fail. It listens on a port or path of its own from `start`
 * until `close`, which also ends all connections.
 */
export class FaultProxy {
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  readonly #flows: Record<Direction, Flow> = { up: { kind: 'open' }, down: { kind: 'open' } };
  #isCut = false;
  #accepted = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** A proxy before `port`, with all flows open. */
  static start(port: number): Promise<FaultProxy> {
    return FaultProxy.#started({ host: '127.0.0.1', port }, { host: '127.0.0.1', port: 0 });
  }

  /** The same at one Unix socket before another one. */
  static startAt(path: string, server: string): Promise<FaultProxy> {
    return FaultProxy.#started({ path: server }, { path });
  }

  static async #started(to: Place, at: Place): Promise<FaultProxy> {
    const server = createServer({ allowHalfOpen: true });
    const proxy = new FaultProxy(server);
    server.on('connection', (client) => proxy.#connect(client, to));
    await new Promise<void>((listening, failed) => {
      server.once('error', failed).listen(at, listening);
    });
    return proxy;
  }

  /** Where clients connect. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Open connections. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Connections so far, those that were reset at once left out. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Sets the flow of one direction, or both, for present and later connections. */
  set(flow: Flow, ...directions: readonly Direction[]): void {
    for (const direction of directions.length === 0 ? (['up', 'down'] as const) : directions) {
      this.#flows[direction] = flow;
      for (const { lanes } of this.#connections) lanes[direction].set(flow);
    }
  }

  /** Resets all connections, and new ones at once, until `heal`. */
  cut(): void {
    this.#isCut = true;
    for (const { client, server } of this.#connections) {
      reset(client);
      reset(server);
    }
  }

  /** Ends the servers' sides of all connections; their clients hear nothing of it, as after a power loss, until `heal`. */
  halfOpen(): void {
    this.set({ kind: 'held' });
    for (const { server } of this.#connections) reset(server);
  }

  /** Nothing arrives any more over the connections that are open; new ones are not affected, as those to another server of the same name. */
  freezeOpen(): void {
    for (const { lanes } of this.#connections) for (const lane of [lanes.up, lanes.down]) lane.set({ kind: 'held' });
  }

  /** Opens all flows and accepts connections again. What was held arrives. */
  heal(): void {
    this.#isCut = false;
    this.set({ kind: 'open' });
  }

  /** Ends everything. */
  async close(): Promise<void> {
    this.cut();
    await new Promise<void>((closed) => this.#server.close(() => closed()));
  }

  #connect(client: Socket, to: Place): void {
    // Its 'close' says all.
    client.on('error', () => {});
    if (this.#isCut) {
      reset(client);
      return;
    }
    this.#accepted += 1;
    const server = createConnection({ ...to, allowHalfOpen: true }).on('error', () => {});
    for (const socket of [client, server]) socket.setNoDelay(true);
    const up = new Lane(client, server, this.#flows.up);
    const down = new Lane(server, client, this.#flows.down);
    const connection = { client, server, lanes: { up, down } };
    this.#connections.add(connection);
    const forget = (): void => {
      if (client.destroyed && server.destroyed) this.#connections.delete(connection);
    };
    client.once('close', forget);
    server.once('close', forget);
  }
}

/** What waits to arrive: bytes, or the end of a connection. */
interface Waiting {
  readonly what: Buffer | 'end' | 'closed' | 'reset';
  readonly sinceMs: number;
}

/** One direction of one connection: a queue between two sockets. It ends with them. */
class Lane {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #queue: Waiting[] = [];
  #queuedBytes = 0;
  #flow: Flow;
  /** Until when the last slow piece takes. */
  #busyUntilMs = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(from: Socket, to: Socket, flow: Flow) {
    this.#from = from;
    this.#to = to;
    this.#flow = flow;
    from.on('data', (bytes: Buffer) => this.#add(bytes));
    from.once('end', () => this.#add('end'));
    from.once('close', () => this.#add(from.readableEnded ? 'closed' : 'reset'));
    to.on('drain', () => this.#move());
    to.once('close', () => {
      if (this.#timer !== null) clearTimeout(this.#timer);
      this.#queue.length = 0;
      // What still comes is read and dropped: that `to` is gone is told by the other lane, which may be held.
      from.resume();
    });
  }

  set(flow: Flow): void {
    this.#flow = flow;
    this.#busyUntilMs = 0;
    this.#move();
  }

  #add(what: Waiting['what']): void {
    if (this.#to.destroyed) return;
    this.#queue.push({ what, sinceMs: performance.now() });
    if (typeof what !== 'string') this.#queuedBytes += what.length;
    if (this.#queuedBytes > MOST_QUEUED) this.#from.pause();
    this.#move();
  }

  /** Passes on what is due, and comes back for the rest. */
  #move(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    while (this.#queue[0] !== undefined && this.#flow.kind !== 'held' && !this.#to.writableNeedDrain) {
      const waitMs = this.#dueMs(this.#queue[0]) - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#move(), waitMs);
        return;
      }
      this.#pass(this.#queue[0]);
    }
  }

  #dueMs({ sinceMs }: Waiting): number {
    return this.#flow.kind === 'delay' ? sinceMs + this.#flow.ms : this.#busyUntilMs;
  }

  #pass({ what, sinceMs }: Waiting): void {
    this.#queue.shift();
    if (what === 'end') this.#to.end();
    else if (what === 'closed') this.#to.destroySoon();
    else if (what === 'reset') reset(this.#to);
    else {
      const piece = what.subarray(0, this.#most());
      if (piece.length < what.length) this.#queue.unshift({ what: what.subarray(piece.length), sinceMs });
      if (this.#flow.kind === 'slow')
        this.#busyUntilMs = performance.now() + (piece.length * 1_000) / this.#flow.bytesPerSecond;
      this.#queuedBytes -= piece.length;
      this.#to.write(piece);
      if (this.#queuedBytes <= MOST_QUEUED / 2) this.#from.resume();
    }
  }

  #most(): number {
    return this.#flow.kind === 'slow'
      ? Math.max(1, Math.ceil(this.#flow.bytesPerSecond / PIECES_PER_SECOND))
      : Infinity;
  }
}
