/**
 * A queue that serves its clients round robin, and each client in the order of joining: what one of them adds makes another
 * wait for one turn of it at most. The caller bounds how much is added.
 */
export class FairQueue<T> {
  /** In the order in which clients are served next; none is empty. */
  readonly #clients = new Map<string, T[]>();
  #length = 0;

  /** How many wait, of all clients. */
  get length(): number {
    return this.#length;
  }

  /** Adds one before all else that its client waits for; the order of the clients stays. */
  addFirst(client: string, value: T): void {
    const waiting = this.#clients.get(client);
    if (waiting === undefined) this.#clients.set(client, [value]);
    else waiting.unshift(value);
    this.#length += 1;
  }

  /** Adds one at the end of what its client waits for. */
  add(client: string, value: T): void {
    const waiting = this.#clients.get(client);
    if (waiting === undefined) this.#clients.set(client, [value]);
    else waiting.push(value);
    this.#length += 1;
  }

  /** Takes out the first of the client whose turn it is. */
  shift(): T | undefined {
    for (const [client, waiting] of this.#clients) {
      this.#clients.delete(client);
      const value = waiting.shift();
      if (waiting.length > 0) this.#clients.set(client, waiting);
      this.#length -= 1;
      return value;
    }
    return undefined;
  }
}
