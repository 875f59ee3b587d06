/** What is planned for an instant. */
interface Planned {
  happen(): void;
}

/** A process, which runs work now, later or never. */
interface Runner {
  run(work: () => void): void;
}

class Work implements Planned {
  readonly #work: () => void;
  /** `null`: it is the work of no process. */
  readonly #by: Runner | null;

  constructor(work: () => void, by: Runner | null) {
    this.#work = work;
    this.#by = by;
  }

  happen(): void {
    if (this.#by === null) this.#work();
    else this.#by.run(this.#work);
  }
}

/** What happens at an instant if it is not dropped before, as most are. */
export abstract class Deadline implements Planned {
  /** Both are set by the schedule. */
  atMs = 0;
  order = 0;
  isDropped = false;

  abstract happen(): void;
}

/** Virtual time: what is planned for an instant happens in order of time, and of planning where the instant is the same. */
export class Schedule {
  /** A binary heap, the earliest first. Instants and orders are apart: numbers with fractions in objects would be objects of their own. */
  readonly #heap: Planned[] = [];
  #instants = new Float64Array(64);
  #orders = new Float64Array(64);
  /** Deadlines after the same time are due in the order in which they were set, so they need no heap. */
  readonly #deadlines: { readonly ms: number; readonly queue: Deadline[] }[] = [];
  #order = 0;
  #nowMs = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  /** @param by the process whose work it is; `null` for none */
  after(ms: number, work: () => void, by: Runner | null = null): void {
    this.plan(ms, new Work(work, by));
  }

  plan(ms: number, planned: Planned): void {
    const heap = this.#heap;
    if (heap.length === this.#instants.length) this.#grow();
    const instants = this.#instants;
    const orders = this.#orders;
    const atMs = this.#nowMs + ms;
    this.#order += 1;
    let at = heap.length;
    heap.push(planned);
    while (at > 0) {
      const up = (at - 1) >> 1;
      const above = heap[up];
      const aboveMs = instants[up] ?? Infinity;
      // What is planned later comes later where the instant is the same.
      if (above === undefined || aboveMs <= atMs) break;
      heap[at] = above;
      instants[at] = aboveMs;
      orders[at] = orders[up] ?? Infinity;
      at = up;
    }
    heap[at] = planned;
    instants[at] = atMs;
    orders[at] = this.#order;
  }

  /** @param ms one of few */
  deadline(ms: number, deadline: Deadline): void {
    this.#order += 1;
    deadline.atMs = this.#nowMs + ms;
    deadline.order = this.#order;
    const known = this.#deadlines.find((one) => one.ms === ms);
    if (known === undefined) this.#deadlines.push({ ms, queue: [deadline] });
    else known.queue.push(deadline);
  }

  /** Lets all happen that is planned until that instant. */
  runUntil(endMs: number): void {
    while (this.#happenNext(endMs));
    this.#nowMs = endMs;
  }

  /** `false` where nothing is planned until then. */
  #happenNext(endMs: number): boolean {
    const queue = this.#firstDeadlines();
    const deadline = queue?.[0];
    const planned = this.#heap[0];
    const atMs = this.#instants[0] ?? Infinity;
    const isDeadlineFirst =
      deadline !== undefined &&
      (planned === undefined ||
        deadline.atMs < atMs ||
        (deadline.atMs === atMs && deadline.order < (this.#orders[0] ?? Infinity)));
    if (isDeadlineFirst) {
      if (deadline.atMs > endMs) return false;
      queue?.shift();
      this.#nowMs = deadline.atMs;
      deadline.happen();
      return true;
    }
    if (planned === undefined || atMs > endMs) return false;
    this.#pop();
    this.#nowMs = atMs;
    planned.happen();
    return true;
  }

  /** The deadlines of which the first one is due before those of the other lists; `null` where there are none. */
  #firstDeadlines(): Deadline[] | null {
    let first: Deadline[] | null = null;
    for (const { queue } of this.#deadlines) {
      while (queue[0]?.isDropped === true) queue.shift();
      const head = queue[0];
      const best = first?.[0];
      if (head === undefined) continue;
      if (best === undefined || head.atMs < best.atMs || (head.atMs === best.atMs && head.order < best.order))
        first = queue;
    }
    return first;
  }

  #pop(): void {
    const heap = this.#heap;
    const instants = this.#instants;
    const orders = this.#orders;
    const lastMs = instants[heap.length - 1] ?? Infinity;
    const lastOrder = orders[heap.length - 1] ?? Infinity;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let next = 2 * at + 1;
      const right = next + 1;
      if (right < heap.length && isBefore(instants, orders, right, next)) next = right;
      const below = heap[next];
      const belowMs = instants[next] ?? Infinity;
      if (below === undefined || lastMs < belowMs) break;
      if (lastMs === belowMs && lastOrder < (orders[next] ?? Infinity)) break;
      heap[at] = below;
      instants[at] = belowMs;
      orders[at] = orders[next] ?? Infinity;
      at = next;
    }
    heap[at] = last;
    instants[at] = lastMs;
    orders[at] = lastOrder;
  }

  #grow(): void {
    const instants = this.#instants;
    const orders = this.#orders;
    this.#instants = new Float64Array(2 * instants.length);
    this.#instants.set(instants);
    this.#orders = new Float64Array(2 * orders.length);
    this.#orders.set(orders);
  }
}

/** Whether one place of the heap is before another one. */
function isBefore(instants: Float64Array, orders: Float64Array, one: number, other: number): boolean {
  const oneMs = instants[one] ?? Infinity;
  const otherMs = instants[other] ?? Infinity;
  return oneMs < otherMs || (oneMs === otherMs && (orders[one] ?? Infinity) < (orders[other] ?? Infinity));
}
