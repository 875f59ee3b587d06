import type { Socket } from 'node:net';
import type { IssuerLimits, OnRefused } from './limits.ts';

/** A connection from when it was accepted to when it is closed. */
export interface ClientConnection {
  readonly socket: Socket;
  /** Of the other end; see `addressOf`. */
  readonly address: string;
  /** Who it is; `null` until the handshake is over. */
  client: string | null;
  /** Requests on it that are not answered. */
  open: number;
  /** A count that goes up: which of two has been idle for longer. */
  idleSince: number;
  /** Beyond those that its client may have: for withdrawals alone. */
  isSurplus: boolean;
}

/** So many connections beyond its limit a client may have, to be told of the limit there, and for withdrawals. */
const MAX_SURPLUS = 16;
/** Unanswered requests on one connection. No client of OAuth libraries sends a second one before it has its answer. */
const MAX_PIPELINED = 8;

/**
 * The connections of all clients, of each within its limit. Idle connections never keep others out: over the limit of a client
 * it loses its longest idle one, and at the limit of all it is the client with most idle ones that does. Unfinished handshakes are
 * counted by address, as idle.
 */
export class Connections {
  readonly #limits: IssuerLimits;
  readonly #onRefused: OnRefused;
  /** By who has them: a client, or an address whose handshakes are not finished. */
  readonly #owned = new Map<string, Set<ClientConnection>>();
  #size = 0;
  #ticks = 0;

  constructor(limits: IssuerLimits, onRefused: OnRefused) {
    this.#limits = limits;
    this.#onRefused = onRefused;
  }

  /** Takes a connection in; `null` where it was cut instead, since all others have requests under way. */
  accept(socket: Socket, address: string): ClientConnection | null {
    const owner = unfinished(address);
    if (this.#countOf(owner) >= this.#limits.handshakesPerAddress) this.#cutIdle(owner, 'handshakes');
    if (this.#size >= this.#limits.connections && !this.#cutIdle(this.#mostIdle(), 'connections')) {
      this.#onRefused('connections', address);
      socket.destroy();
      return null;
    }
    const connection: ClientConnection = {
      socket,
      address,
      client: null,
      open: 0,
      idleSince: this.#tick(),
      isSurplus: false,
    };
    this.#add(owner, connection);
    socket.once('close', () => this.#drop(connection));
    return connection;
  }

  /** The handshake is over: from now on the connection is counted for its client. */
  identify(connection: ClientConnection, client: string): void {
    if (connection.client !== null || !this.#drop(connection)) return;
    connection.client = client;
    const { connectionsPerClient } = this.#limits;
    if (this.#countOf(client) >= connectionsPerClient && !this.#cutIdle(client, 'client-connections')) {
      connection.isSurplus = true;
    }
    this.#add(client, connection);
    if (this.#countOf(client) > connectionsPerClient + MAX_SURPLUS) this.#cut(connection, 'client-connections');
  }

  /** A request has come in; `false` where the connection was cut for it. */
  begin(connection: ClientConnection): boolean {
    if (connection.socket.destroyed) return false;
    connection.open += 1;
    if (connection.open <= MAX_PIPELINED) return true;
    this.#cut(connection, 'pipeline');
    return false;
  }

  /** A request was answered, or nobody waits for it any more. */
  end(connection: ClientConnection): void {
    connection.open -= 1;
    if (connection.open === 0) connection.idleSince = this.#tick();
  }

  /** Whether its client has too many connections, of which this came last. */
  isSurplus(connection: ClientConnection): boolean {
    const { client, isSurplus } = connection;
    connection.isSurplus = isSurplus && client !== null && this.#countOf(client) > this.#limits.connectionsPerClient;
    return connection.isSurplus;
  }

  #tick(): number {
    this.#ticks += 1;
    return this.#ticks;
  }

  #countOf(owner: string): number {
    return this.#owned.get(owner)?.size ?? 0;
  }

  #add(owner: string, connection: ClientConnection): void {
    const owned = this.#owned.get(owner) ?? new Set();
    this.#owned.set(owner, owned.add(connection));
    this.#size += 1;
  }

  /** `false` where it was dropped before. */
  #drop(connection: ClientConnection): boolean {
    const owner = connection.client ?? unfinished(connection.address);
    const owned = this.#owned.get(owner);
    if (owned === undefined || !owned.delete(connection)) return false;
    if (owned.size === 0) this.#owned.delete(owner);
    this.#size -= 1;
    return true;
  }

  #mostIdle(): string {
    let [most, whose] = [0, ''];
    for (const [owner, owned] of this.#owned) {
      let idle = 0;
      for (const { open } of owned) if (open === 0) idle += 1;
      if (idle > most) [most, whose] = [idle, owner];
    }
    return whose;
  }

  /** Cuts the connection of an owner that has been idle for longest; `false` where none is idle. */
  #cutIdle(owner: string, bound: 'connections' | 'client-connections' | 'handshakes'): boolean {
    let longest: ClientConnection | null = null;
    for (const connection of this.#owned.get(owner) ?? []) {
      const isIdle = connection.open === 0;
      if (isIdle && (longest === null || connection.idleSince < longest.idleSince)) longest = connection;
    }
    if (longest !== null) this.#cut(longest, bound);
    return longest !== null;
  }

  #cut(connection: ClientConnection, bound: Parameters<OnRefused>[0]): void {
    this.#drop(connection);
    this.#onRefused(bound, connection.client ?? connection.address);
    connection.socket.destroy();
  }
}

const unfinished = (address: string): string => `handshake ${address}`;
