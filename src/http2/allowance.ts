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

  /** Takes one; whether there was one. */
  take(): boolean {
    this.#left -= 1;
    if (this.#left >= 0) return true;
    const { burst, perSecond, monotonicMs } = this.#options;
    const nowMs = monotonicMs();
    this.#left = Math.min(burst, ((nowMs - this.#atMs) * perSecond) / 1_000) - 1;
    this.#atMs = nowMs;
    return this.#left >= 0;
  }
}
