import type { After } from '../runtime/timers.ts';

/**
 * The time before a process stops, in which it tells health checks that it is not ready and answers all that comes, so that its
 * clients go elsewhere first.
 */
export class Drain {
  /** Called once, when it begins. */
  onBegun: () => void = () => undefined;
  readonly #seconds: () => number;
  readonly #after: After;
  #isBegun = false;

  /** @param seconds how long it takes, asked when it begins */
  constructor(seconds: () => number, after: After) {
    this.#seconds = seconds;
    this.#after = after;
  }

  /** Whether readiness is to be denied. */
  get isBegun(): boolean {
    return this.#isBegun;
  }

  /** Begins; resolves once the time is over, or as soon as `hurry` aborts. */
  begin(hurry: AbortSignal): Promise<void> {
    this.#isBegun = true;
    this.onBegun();
    const delayMs = this.#seconds() * 1000;
    if (delayMs === 0 || hurry.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#after(delayMs, resolve);
      hurry.addEventListener('abort', () => {
        cancel();
        resolve();
      });
    });
  }
}
