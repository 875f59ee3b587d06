import type { Socket } from 'node:net';

/**
 * The connections of a listener, up to a bound. Those that have shown the secret keep their place: any user of the machine can connect, so
 * at the bound the oldest one that has not is ended, and if there is none the new one.
 */
export class Places {
  readonly #max: number;
  readonly #admitted = new Set<Socket>();
  /** In the order in which they came. */
  readonly #strangers = new Set<Socket>();

  constructor(max: number) {
    this.#max = max;
  }

  /** Gives a new connection a place; `false` once it is ended for want of one. */
  taken(socket: Socket): boolean {
    if (this.#admitted.size + this.#strangers.size >= this.#max) {
      const [oldest] = this.#strangers;
      if (oldest === undefined) {
        socket.destroy();
        return false;
      }
      this.#strangers.delete(oldest);
      oldest.destroy();
    }
    this.#strangers.add(socket);
    socket.once('close', () => {
      this.#strangers.delete(socket);
      this.#admitted.delete(socket);
    });
    return true;
  }

  /** A request on the connection was let pass. */
  admit(socket: Socket | undefined): void {
    if (socket !== undefined && this.#strangers.delete(socket)) this.#admitted.add(socket);
  }

  /** Ends all. */
  destroy(): void {
    for (const socket of [...this.#strangers, ...this.#admitted]) socket.destroy();
  }
}
