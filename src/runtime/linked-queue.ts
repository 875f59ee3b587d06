/** Where one stands: in one line at a time, or in none. Its neighbours are for the line alone. */
export class QueueNode<T> {
  readonly value: T;
  line: LinkedQueue<T> | null = null;
  ahead: QueueNode<T> | null = null;
  behind: QueueNode<T> | null = null;

  constructor(value: T) {
    this.value = value;
  }

  /** Leaves the line, from wherever it stands in it; nothing where it stands in none. */
  leave(): void {
    this.line?.drop(this);
  }
}

/**
 * A line in the order of joining, which can be left from anywhere: to join, to leave and to be the next costs the same however long
 * it is and whoever has left before. Who uses it bounds how long it grows.
 */
export class LinkedQueue<T> {
  #first: QueueNode<T> | null = null;
  #last: QueueNode<T> | null = null;
  #length = 0;

  /** How many stand in it. */
  get length(): number {
    return this.#length;
  }

  /** Who has stood in it for longest. */
  get first(): T | undefined {
    return this.#first?.value;
  }

  /** Joins at the end, and leaves whatever line it stood in. */
  join(place: QueueNode<T>): void {
    place.leave();
    place.line = this;
    place.ahead = this.#last;
    if (this.#last === null) this.#first = place;
    else this.#last.behind = place;
    this.#last = place;
    this.#length += 1;
  }

  /** Takes out who has stood in it for longest. */
  shift(): T | undefined {
    const first = this.#first;
    if (first === null) return undefined;
    this.drop(first);
    return first.value;
  }

  /** Takes one out. @param place stands in this line; see `QueueNode.leave` for one that may not */
  drop(place: QueueNode<T>): void {
    const { ahead, behind } = place;
    if (ahead === null) this.#first = behind;
    else ahead.behind = behind;
    if (behind === null) this.#last = ahead;
    else behind.ahead = ahead;
    place.line = null;
    place.ahead = null;
    place.behind = null;
    this.#length -= 1;
  }

  /** From the first to the last. Who is looked at may leave meanwhile, others may not. */
  *[Symbol.iterator](): Generator<T, void, undefined> {
    for (let place = this.#first; place !== null;) {
      const next: QueueNode<T> | null = place.behind;
      yield place.value;
      place = next;
    }
  }
}
