interface Planned {
  readonly atMs: number;
  readonly order: number;
  readonly work: () => void;
}

/** Virtual time: work planned for an instant runs in order of time, and of planning where the instant is the same. */
export class Schedule {
  /** A binary heap, the earliest first. */
  readonly #heap: Planned[] = [];
  #order = 0;
  #nowMs = 0;
  #steps = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Number of pieces of work that have run. */
  get steps(): number {
    return this.#steps;
  }

  after(ms: number, work: () => void): void {
    this.#order += 1;
    this.#push({ atMs: this.#nowMs + ms, order: this.#order, work });
  }

  /** Runs what is planned until that instant. */
  runUntil(endMs: number): void {
    for (let next = this.#heap[0]; next !== undefined && next.atMs <= endMs; next = this.#heap[0]) {
      this.#pop();
      this.#nowMs = next.atMs;
      this.#steps += 1;
      next.work();
    }
    this.#nowMs = endMs;
  }

  #push(planned: Planned): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(planned);
    while (at > 0) {
      const up = (at - 1) >> 1;
      const above = heap[up];
      if (above === undefined || isBefore(above, planned)) break;
      heap[at] = above;
      at = up;
    }
    heap[at] = planned;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      const left = heap[2 * at + 1];
      const right = heap[2 * at + 2];
      const isRight = right !== undefined && left !== undefined && isBefore(right, left);
      const next = isRight ? right : left;
      if (next === undefined || isBefore(last, next)) break;
      heap[at] = next;
      at = 2 * at + (isRight ? 2 : 1);
    }
    heap[at] = last;
  }
}

const isBefore = (one: Planned, other: Planned): boolean =>
  one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
