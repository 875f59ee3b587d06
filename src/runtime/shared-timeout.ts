import { LinkedQueue, QueueNode } from './linked-queue.ts';
import type { After } from './timers.ts';

/** When something times out, and what is done then. */
export interface SharedTimeoutOptions<T> {
  /** How long each has. */
  readonly ms: number;
  /** How many are waited for at most: of one more, the one that was there first times out at once. */
  readonly max: number;
  /** Throws nothing itself. */
  readonly onTimeout: (value: T) => void;
  readonly monotonicMs: () => number;
  readonly after: After;
}

interface Awaited<T> {
  readonly value: T;
  readonly dueMs: number;
}

/**
 * Waits for many things that have the same time each, with one timer for all of them, which runs only where there are some.
 *
 * Lifecycle: `add` what is waited for and call what that gives once it is there; after `close` nothing is waited for any more.
 */
export class SharedTimeout<T> {
  readonly #options: SharedTimeoutOptions<T>;
  readonly #line = new LinkedQueue<Awaited<T>>();
  #cancel: (() => void) | null = null;
  #isClosed = false;

  constructor(options: SharedTimeoutOptions<T>) {
    this.#options = options;
  }

  /** How many are waited for. */
  get size(): number {
    return this.#line.length;
  }

  /** Waits for one from now on. @returns takes that back */
  add(value: T): () => void {
    if (this.#isClosed) return () => undefined;
    const { ms, max, onTimeout, monotonicMs, after } = this.#options;
    if (this.#line.length >= max) {
      const oldest = this.#line.shift();
      if (oldest !== undefined) onTimeout(oldest.value);
    }
    const place = new QueueNode({ value, dueMs: monotonicMs() + ms });
    this.#line.join(place);
    this.#cancel ??= after(ms, this.#look);
    return () => place.leave();
  }

  /** Waits for none of them any more, nor for one that is added; nothing is told to anybody. */
  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
    this.#cancel = null;
    while (this.#line.shift() !== undefined);
  }

  readonly #look = (): void => {
    const { onTimeout, monotonicMs, after } = this.#options;
    const nowMs = monotonicMs();
    this.#cancel = null;
    let { first } = this.#line;
    for (; first !== undefined && first.dueMs <= nowMs; first = this.#line.first) {
      this.#line.shift();
      onTimeout(first.value);
    }
    // A timer may be early by the fraction of a millisecond.
    if (first !== undefined) this.#cancel ??= after(Math.max(1, first.dueMs - nowMs), this.#look);
  };
}
