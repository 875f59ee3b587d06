import type { After } from '../core/runtime/timers.ts';

/** The time before a process stops. Health checks already fail, but requests are answered, so that clients move elsewhere first. */
export class Drain {
  /** Called once, when draining begins. */
  onBegun: () => void = () => undefined;
  readonly #seconds: () => number;
  readonly #after: After;
  #isBegun = false;

  /** @param seconds duration, read when draining begins */
  constructor(seconds: () => number, after: After) {
    this.#seconds = seconds;
    this.#after = after;
  }

  /** Whether draining has begun, so that the process is not ready. */
  get isBegun(): boolean {
    return this.#isBegun;
  }

  /** Begins to drain. Resolves once the time is over, or as soon as `hurry` aborts. */
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
