import type { Socket } from 'node:net';
import { deny, type Deny, isDeny } from '../../../core/decision/decision.ts';
import type { LeafCertificate } from '../../../core/identity/leaf-certificate.ts';
import type { IssuerLimits } from '../../../core/config/issuer-limits.ts';
import type { OnRefused } from './limits.ts';

/** An open connection. */
export interface ClientConnection {
  readonly socket: Socket;
  /** Address of the peer, from `clientAddressOf`. */
  readonly address: string;
  /** Identity of the client; `null` until the handshake is complete. */
  client: string | null;
  /** The certificate of the client, read once: it never changes in a connection. Why there is none, or why it is refused. */
  leaf: LeafCertificate | Deny;
  /** Number of unanswered requests. */
  open: number;
  /** Monotonic counter value at which it became idle; the lowest has been idle longest. */
  idleSince: number;
  /** Whether it exceeds its client's limit: then it serves withdrawals only. */
  isSurplus: boolean;
}

/** Of a connection without a certificate, or in its handshake. */
export const noCertificate = deny('identity.missing', 'the client presented no certificate');

/** Most connections of a client beyond its limit, which serve withdrawals and answer other requests 429. */
const MAX_SURPLUS = 16;
/** Most unanswered requests per connection. OAuth clients do not pipeline. */
const MAX_PIPELINED = 8;

/**
 * Limits connections per client and in total. Idle connections never keep others out: a client over its limit loses its longest
 * idle connection; at the total limit, the client with the most idle connections loses an idle connection. Unfinished handshakes count by
 * address, as idle.
 */
export class Connections {
  readonly #limits: IssuerLimits;
  readonly #onRefused: OnRefused;
  /** By owner: a client, or an address with unfinished handshakes. */
  readonly #owned = new Map<string, Set<ClientConnection>>();
  #size = 0;
  #ticks = 0;

  constructor(limits: IssuerLimits, onRefused: OnRefused) {
    this.#limits = limits;
    this.#onRefused = onRefused;
  }

  /** Registers a connection; `null` if it was cut because all others have requests under way. */
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
      leaf: noCertificate,
      open: 0,
      idleSince: this.#tick(),
      isSurplus: false,
    };
    this.#add(owner, connection);
    socket.once('close', () => this.#drop(connection));
    return connection;
  }

  /** Counts the connection for its client, after the handshake: by its SPIFFE ID, or by its address without a valid certificate. */
  identify(connection: ClientConnection, leaf: LeafCertificate | Deny): void {
    if (connection.client !== null || !this.#drop(connection)) return;
    const client = isDeny(leaf) ? connection.address : leaf.id;
    connection.client = client;
    connection.leaf = leaf;
    const { connectionsPerClient } = this.#limits;
    if (this.#countOf(client) >= connectionsPerClient && !this.#cutIdle(client, 'client-connections')) {
      connection.isSurplus = true;
    }
    this.#add(client, connection);
    if (this.#countOf(client) > connectionsPerClient + MAX_SURPLUS) this.#cut(connection, 'client-connections');
  }

  /** Notes a new request; `false` if the connection was cut because of it. */
  begin(connection: ClientConnection): boolean {
    if (connection.socket.destroyed) return false;
    connection.open += 1;
    if (connection.open <= MAX_PIPELINED) return true;
    this.#cut(connection, 'pipeline');
    return false;
  }

  /** Notes that a request was answered or abandoned. */
  end(connection: ClientConnection): void {
    connection.open -= 1;
    if (connection.open === 0) connection.idleSince = this.#tick();
  }

  /** Whether it exceeds its client's limit now. */
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

  /** Returns `false` if it was dropped before. */
  #drop(connection: ClientConnection): boolean {
    const owner = connection.client ?? unfinished(connection.address);
    const owned = this.#owned.get(owner);
    if (owned === undefined || !owned.delete(connection)) return false;
    if (owned.size === 0) this.#owned.delete(owner);
    this.#size -= 1;
    return true;
  }

  #mostIdle(): string {
    let [most, mostIdleOwner] = [0, ''];
    for (const [owner, owned] of this.#owned) {
      let idle = 0;
      for (const { open } of owned) if (open === 0) idle += 1;
      if (idle > most) [most, mostIdleOwner] = [idle, owner];
    }
    return mostIdleOwner;
  }

  /** Cuts the longest idle connection of an owner; `false` if none is idle. */
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
