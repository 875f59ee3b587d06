/** How much is let pass. */
export interface AllowanceOptions {
  /** At once, after a while without. */
  readonly burst: number;
  /** Regained in each second. */
  readonly perSecond: number;
  readonly monotonicMs: () => number;
}

/** Counts what a peer may do so and so often, over time. */
export class Allowance {
  readonly #options: AllowanceOptions;
  #left: number;
  #atMs: number;

  constructor(options: AllowanceOptions) {
    this.#options = options;
    this.#left = options.burst;
    this.#atMs = options.monotonicMs();
  }

  /** Takes one, or so many; whether they were there. The clock is read only where they are not there yet. */
  take(count = 1): boolean {
    if (this.#left < count) this.#regain();
    if (this.#left < count) return false;
    this.#left -= count;
    return true;
  }

  /** Adds so many, up to the burst. */
  give(count: number): void {
    this.#left = Math.min(this.#options.burst, this.#left + count);
  }

  #regain(): void {
    const { monotonicMs, perSecond } = this.#options;
    const nowMs = monotonicMs();
    this.give(((nowMs - this.#atMs) * perSecond) / 1_000);
    this.#atMs = nowMs;
  }
}
