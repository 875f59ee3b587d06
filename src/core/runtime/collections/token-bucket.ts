/** A token bucket: a rate with a burst. */

/** Size and refill rate of a token bucket. */
export interface TokenBucketOptions {
  /** Capacity, and the number of tokens at the start. */
  readonly burst: number;
  /** Tokens added per second; 0 for none. */
  readonly perSecond: number;
  readonly monotonicMs: () => number;
}

/** A token bucket: limits how often something may be done. It never holds more than `burst` tokens. */
export class TokenBucket {
  readonly #options: TokenBucketOptions;
  #left: number;
  #atMs: number;

  constructor(options: TokenBucketOptions) {
    this.#options = options;
    this.#left = options.burst;
    this.#atMs = options.monotonicMs();
  }

  /** Takes one token, or `count` tokens. Returns false and takes nothing if there are fewer. */
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
