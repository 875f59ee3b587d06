/** Timers that the test fires. */
export class HeldTimers {
  /** Number of timers ever set. */
  started = 0;
  #pending: { readonly delayMs: number; readonly run: () => void }[] = [];

  readonly after = (delayMs: number, run: () => void): (() => void) => {
    const timer = { delayMs, run };
    this.#pending.push(timer);
    this.started += 1;
    return () => {
      this.#pending = this.#pending.filter((other) => other !== timer);
    };
  };

  /** Delays of the pending timers, in the order they were set. */
  get delays(): readonly number[] {
    return this.#pending.map(({ delayMs }) => delayMs);
  }

  /** Fires all pending timers. */
  fire(): void {
    for (const { run } of this.#pending.splice(0)) run();
  }
}

/** Waits until `isTrue` holds; throws after 5 s. */
export async function eventually(isTrue: () => boolean, what: string): Promise<void> {
  for (let waitedMs = 0; waitedMs < 5_000; waitedMs += 5) {
    if (isTrue()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`it did not come to pass that ${what}`);
}
