/** A node of a linked queue. It belongs to at most one queue; only the queue writes its links. */
export class QueueNode<T> {
  readonly value: T;
  queue: LinkedQueue<T> | null = null;
  previous: QueueNode<T> | null = null;
  next: QueueNode<T> | null = null;

  constructor(value: T) {
    this.value = value;
  }

  /** Removes the node from its queue, if it is in a queue. */
  leave(): void {
    this.queue?.drop(this);
  }
}

/**
 * A doubly linked queue (first in, first out) whose nodes can be removed from anywhere. Adding, removing and taking the first
 * node are O(1). It has no limit of its own: its owner bounds its length.
 */
export class LinkedQueue<T> {
  #first: QueueNode<T> | null = null;
  #last: QueueNode<T> | null = null;
  #length = 0;

  /** Number of nodes. */
  get length(): number {
    return this.#length;
  }

  /** The value that has been queued for longest; `undefined` if the queue is empty. */
  get first(): T | undefined {
    return this.#first?.value;
  }

  /** Appends a node. A node that is in another queue leaves that queue first. */
  join(node: QueueNode<T>): void {
    node.leave();
    node.queue = this;
    node.previous = this.#last;
    if (this.#last === null) this.#first = node;
    else this.#last.next = node;
    this.#last = node;
    this.#length += 1;
  }

  /** Puts a node before all others. A node that is in another queue leaves that queue first. */
  joinFirst(node: QueueNode<T>): void {
    node.leave();
    node.queue = this;
    node.next = this.#first;
    if (this.#first === null) this.#last = node;
    else this.#first.previous = node;
    this.#first = node;
    this.#length += 1;
  }

  /** Removes and returns the first value; `undefined` if the queue is empty. */
  shift(): T | undefined {
    const first = this.#first;
    if (first === null) return undefined;
    this.drop(first);
    return first.value;
  }

  /** Removes a node. @param node must be in this queue; use `QueueNode.leave` if it may not be */
  drop(node: QueueNode<T>): void {
    const { previous, next } = node;
    if (previous === null) this.#first = next;
    else previous.next = next;
    if (next === null) this.#last = previous;
    else next.previous = previous;
    node.queue = null;
    node.previous = null;
    node.next = null;
    this.#length -= 1;
  }

  /** Iterates from first to last. The node of the current value may be removed meanwhile, no other. */
  *[Symbol.iterator](): Generator<T, void, undefined> {
    for (let node = this.#first; node !== null;) {
      const next: QueueNode<T> | null = node.next;
      yield node.value;
      node = next;
    }
  }
}
