/**
 * A queue with round robin over its clients, and FIFO per client: a client waits for at most one item of each other client per
 * item of its own. The caller bounds the length.
 */
export class FairQueue<T> {
  /** In serving order; no list is empty. */
  readonly #clients = new Map<string, T[]>();
  #length = 0;

  /** Number of waiting items. */
  get length(): number {
    return this.#length;
  }

  /** Adds an item before all others of its client; the order of the clients is unchanged. */
  addFirst(client: string, value: T): void {
    const waiting = this.#clients.get(client);
    if (waiting === undefined) this.#clients.set(client, [value]);
    else waiting.unshift(value);
    this.#length += 1;
  }

  /** Adds an item after all others of its client. */
  add(client: string, value: T): void {
    const waiting = this.#clients.get(client);
    if (waiting === undefined) this.#clients.set(client, [value]);
    else waiting.push(value);
    this.#length += 1;
  }

  /** Removes and returns the next item. */
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
