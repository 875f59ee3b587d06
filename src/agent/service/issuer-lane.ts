/**
 * Lets at most `slots` pieces of work run at once; the others wait in the order in which they came. It has no bound of its own: who enters it
 * is bounded by the number of tasks, or asks `waiting` before.
 */
export class IssuerLane {
  readonly #slots: number;
  readonly #queue: (() => void)[] = [];
  #running = 0;

  constructor(slots: number) {
    this.#slots = slots;
  }

  /** Number of those that wait. */
  get waiting(): number {
    return this.#queue.length;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#slots) await new Promise<void>((begin) => void this.#queue.push(begin));
    else this.#running += 1;
    try {
      return await work();
    } finally {
      // The place goes to the next, so that none that comes later takes it.
      const next = this.#queue.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}
