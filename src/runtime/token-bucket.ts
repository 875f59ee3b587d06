/** How much a token bucket lets pass. */
export interface TokenBucketOptions {
  /** At once, after a while without; also what it begins with. */
  readonly burst: number;
  /** Regained in each second; 0 for never. */
  readonly perSecond: number;
  readonly monotonicMs: () => number;
}

/** A token bucket: counts what may be done so and so often, over time. It never holds more than its burst. */
export class TokenBucket {
  readonly #options: TokenBucketOptions;
  #left: number;
  #atMs: number;

  constructor(options: TokenBucketOptions) {
    this.#options = options;
    this.#left = options.burst;
    this.#atMs = options.monotonicMs();
  }

  /** Takes one token, or `count` of them; false, and nothing taken, where there are fewer. */
  take(count = 1): boolean {
    const { monotonicMs, perSecond } = this.#options;
    const nowMs = monotonicMs();
    this.give(((nowMs - this.#atMs) * perSecond) / 1_000);
    this.#atMs = nowMs;
    if (this.#left < count) return false;
    this.#left -= count;
    return true;
  }

  /** Adds `count` tokens, up to the burst. */
  give(count: number): void {
    this.#left = Math.min(this.#options.burst, this.#left + count);
  }
}
