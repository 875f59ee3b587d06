/**
 * Runs at most `slots` pieces of work at once; the others wait in the order in which they came. The queue has no bound of its
 * own: its callers are bounded by the number of tasks, or check `waiting` first.
 */
export class IssuerLane {
  readonly #slots: number;
  readonly #queue: (() => void)[] = [];
  #running = 0;

  constructor(slots: number) {
    this.#slots = slots;
  }

  /** Pieces of work that wait for a slot. */
  get waiting(): number {
    return this.#queue.length;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#slots) await new Promise<void>((begin) => void this.#queue.push(begin));
    else this.#running += 1;
    try {
      return await work();
    } finally {
      // The slot is handed to the first in the queue, so that no later caller takes it.
      const next = this.#queue.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}
