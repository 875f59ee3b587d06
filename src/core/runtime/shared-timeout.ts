import { LinkedQueue, QueueNode } from './collections/linked-queue.ts';
import type { After } from './timers.ts';

/** The timeout and its handler. */
export interface SharedTimeoutOptions<T> {
  /** Time each value has. */
  readonly ms: number;
  /** Most values that may wait. At the limit, adding a value times out the oldest at once. */
  readonly max: number;
  /** Called for each value that timed out. It must not throw. */
  readonly onTimeout: (value: T) => void;
  readonly monotonicMs: () => number;
  readonly after: After;
}

interface Pending<T> {
  readonly value: T;
  readonly dueMs: number;
}

/**
 * A timeout shared by many values: all have the same time, so one timer serves them in order. The timer runs only while values
 * wait.
 *
 * Lifecycle: `add` returns a function that cancels that value's timeout. After `close` nothing times out any more.
 */
export class SharedTimeout<T> {
  readonly #options: SharedTimeoutOptions<T>;
  readonly #queue = new LinkedQueue<Pending<T>>();
  #cancel: (() => void) | null = null;
  #isClosed = false;

  constructor(options: SharedTimeoutOptions<T>) {
    this.#options = options;
  }

  /** Number of values waiting. */
  get size(): number {
    return this.#queue.length;
  }

  /** Starts the timeout of a value. @returns cancels it */
  add(value: T): () => void {
    if (this.#isClosed) return () => undefined;
    const { ms, max, onTimeout, monotonicMs, after } = this.#options;
    if (this.#queue.length >= max) {
      const oldest = this.#queue.shift();
      if (oldest !== undefined) onTimeout(oldest.value);
    }
    const node = new QueueNode({ value, dueMs: monotonicMs() + ms });
    this.#queue.join(node);
    this.#cancel ??= after(ms, this.#expire);
    return () => node.leave();
  }

  /** Cancels all timeouts. `onTimeout` is not called for them, nor for values added later. */
  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
    this.#cancel = null;
    while (this.#queue.shift() !== undefined);
  }

  readonly #expire = (): void => {
    const { onTimeout, monotonicMs, after } = this.#options;
    const nowMs = monotonicMs();
    this.#cancel = null;
    let { first } = this.#queue;
    for (; first !== undefined && first.dueMs <= nowMs; first = this.#queue.first) {
      this.#queue.shift();
      onTimeout(first.value);
    }
    // A timer can fire up to a millisecond early.
    if (first !== undefined) this.#cancel ??= after(Math.max(1, first.dueMs - nowMs), this.#expire);
  };
}
