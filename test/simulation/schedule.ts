/** A process, which runs work now, later or never. */
interface Runner {
  run(work: () => void): void;
}

interface Planned {
  readonly order: number;
  /** `null`: the work is no process's. */
  readonly by: Runner | null;
  readonly work: () => void;
}

/** Work for an instant before which it is mostly dropped. */
export interface Deadline {
  readonly atMs: number;
  readonly order: number;
  readonly by: Runner;
  /** `null` once it is dropped. */
  work: (() => void) | null;
}

/** Virtual time: work planned for an instant runs in order of time, and of planning where the instant is the same. */
export class Schedule {
  /** A binary heap, the earliest first. */
  readonly #heap: Planned[] = [];
  /** The instants of the heap. As a member of its object, each would be an object of its own. */
  #instants = new Float64Array(64);
  /** Of each length of time, in the order in which they were set, which is the order of their instants: they need no heap. */
  readonly #deadlines: { readonly ms: number; readonly queue: Deadline[] }[] = [];
  #order = 0;
  #nowMs = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  after(ms: number, work: () => void, by: Runner | null = null): void {
    this.#order += 1;
    this.#push({ order: this.#order, by, work }, this.#nowMs + ms);
  }

  /** As `after`, for few lengths of time. Set `work` to `null` to drop it. */
  deadline(ms: number, work: () => void, by: Runner): Deadline {
    this.#order += 1;
    const deadline = { atMs: this.#nowMs + ms, order: this.#order, by, work };
    const known = this.#deadlines.find((one) => one.ms === ms);
    if (known === undefined) this.#deadlines.push({ ms, queue: [deadline] });
    else known.queue.push(deadline);
    return deadline;
  }

  /** Runs what is planned until that instant. */
  runUntil(endMs: number): void {
    while (this.#runNext(endMs));
    this.#nowMs = endMs;
  }

  /** `false` where nothing is planned until then. */
  #runNext(endMs: number): boolean {
    const planned = this.#heap[0];
    const atMs = planned === undefined ? Infinity : this.#instantAt(0);
    const queue = this.#queueBefore(atMs, planned?.order ?? Infinity);
    const deadline = queue?.[0];
    const nextMs = deadline?.atMs ?? atMs;
    if (nextMs > endMs) return false;
    this.#nowMs = nextMs;
    if (deadline !== undefined) {
      queue?.shift();
      if (deadline.work !== null) deadline.by.run(deadline.work);
    } else if (planned !== undefined) {
      this.#pop();
      if (planned.by === null) planned.work();
      else planned.by.run(planned.work);
    }
    return true;
  }

  /** The deadlines of which the first one is due next, and before an instant and order; `null` where there are none. */
  #queueBefore(atMs: number, order: number): Deadline[] | null {
    let [firstMs, firstOrder]: [number, number] = [atMs, order];
    let first: Deadline[] | null = null;
    for (const { queue } of this.#deadlines) {
      while (queue[0]?.work === null) queue.shift();
      const head = queue[0];
      if (head === undefined || head.atMs > firstMs || (head.atMs === firstMs && head.order > firstOrder)) continue;
      [firstMs, firstOrder] = [head.atMs, head.order];
      first = queue;
    }
    return first;
  }

  #push(planned: Planned, atMs: number): void {
    const heap = this.#heap;
    if (heap.length === this.#instants.length) this.#grow();
    let at = heap.length;
    heap.push(planned);
    while (at > 0) {
      const up = (at - 1) >> 1;
      const above = heap[up];
      // What is planned later comes later where the instant is the same.
      if (above === undefined || this.#instantAt(up) <= atMs) break;
      this.#put(at, above, this.#instantAt(up));
      at = up;
    }
    this.#put(at, planned, atMs);
  }

  #pop(): void {
    const heap = this.#heap;
    const lastMs = this.#instantAt(heap.length - 1);
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let next = 2 * at + 1;
      if (next + 1 < heap.length && this.#isBefore(next + 1, next)) next += 1;
      const below = heap[next];
      const belowMs = this.#instantAt(next);
      if (below === undefined || lastMs < belowMs || (lastMs === belowMs && last.order < below.order)) break;
      this.#put(at, below, belowMs);
      at = next;
    }
    this.#put(at, last, lastMs);
  }

  #isBefore(one: number, other: number): boolean {
    const [oneMs, otherMs] = [this.#instantAt(one), this.#instantAt(other)];
    return oneMs < otherMs || (oneMs === otherMs && (this.#heap[one]?.order ?? 0) < (this.#heap[other]?.order ?? 0));
  }

  #instantAt(place: number): number {
    return this.#instants[place] ?? Infinity;
  }

  #put(place: number, planned: Planned, atMs: number): void {
    this.#heap[place] = planned;
    this.#instants[place] = atMs;
  }

  #grow(): void {
    const instants = new Float64Array(2 * this.#instants.length);
    instants.set(this.#instants);
    this.#instants = instants;
  }
}
