import type { Socket } from 'node:net';
import type { PeerUsers } from './peer-users.ts';

/** Connections that are ended together, so that in a flood users are not looked up for each connection. */
const ENDED_AT_ONCE = 64;

/** Which connections are kept when the listener is full. */
export interface PlacesRules {
  readonly max: number;
  /** The user of this process; `null` if unknown. */
  readonly own: number | null;
  readonly usersOf: PeerUsers;
}

/**
 * The connections of a listener, up to a bound. Those that have shown the secret keep their place. Any user of the machine can
 * connect, so at the bound connections without the secret are ended: up to 64 of other users, each the oldest of the user with
 * the most left, or the oldest of the own user if there are none of others. If all have shown the secret, the new connection is
 * ended.
 */
export class Places {
  readonly #rules: PlacesRules;
  readonly #admitted = new Set<Socket>();
  /** In the order in which they came, with their users; `undefined` for a user that was not looked up yet, `null` for an unknown user. */
  readonly #strangers = new Map<Socket, number | null | undefined>();

  constructor(rules: PlacesRules) {
    this.#rules = rules;
  }

  /** Admits a new connection; `false` if the listener is full and it was ended. */
  taken(socket: Socket): boolean {
    const { max } = this.#rules;
    if (this.#admitted.size + this.#strangers.size >= max && !this.#makeRoom(socket.localPort)) {
      socket.destroy();
      return false;
    }
    this.#strangers.set(socket, undefined);
    socket.once('close', () => {
      this.#strangers.delete(socket);
      this.#admitted.delete(socket);
    });
    return true;
  }

  /** Called when a request on the connection was admitted. */
  admit(socket: Socket | undefined): void {
    if (socket !== undefined && this.#strangers.delete(socket)) this.#admitted.add(socket);
  }

  /** Ends all. */
  destroy(): void {
    for (const socket of [...this.#strangers.keys(), ...this.#admitted]) socket.destroy();
  }

  /** Ends a connection that has not shown the secret; `false` if there is none. */
  #makeRoom(port: number | undefined): boolean {
    const { own } = this.#rules;
    if (port !== undefined) this.#lookUp(port);
    const byUser = Map.groupBy(this.#strangers.keys(), (socket) => this.#strangers.get(socket) ?? null);
    const owned = byUser.get(own) ?? [];
    byUser.delete(own);
    const others = [...byUser.values()];
    const ended = others.length === 0 ? owned.slice(0, 1) : mostOf(others, ENDED_AT_ONCE);
    for (const socket of ended) {
      this.#strangers.delete(socket);
      socket.destroy();
    }
    return ended.length > 0;
  }

  #lookUp(port: number): void {
    const users = this.#rules.usersOf(port);
    for (const [socket, user] of this.#strangers) {
      if (user === undefined) this.#strangers.set(socket, users.get(socket.remotePort ?? 0) ?? null);
    }
  }
}

/** Chooses `count` connections, each the oldest of the user with the most left. */
function mostOf(lists: readonly (readonly Socket[])[], count: number): readonly Socket[] {
  const left = lists.map((sockets) => ({ sockets, from: 0 }));
  const chosen: Socket[] = [];
  while (chosen.length < count) {
    const most = left.reduce((one, other) =>
      other.sockets.length - other.from > one.sockets.length - one.from ? other : one,
    );
    const socket = most.sockets[most.from];
    if (socket === undefined) break;
    most.from += 1;
    chosen.push(socket);
  }
  return chosen;
}
