/** Most pings whose answer may still come. An answer to an older one renews nothing. */
const MAX_PINGS = 64;

/**
 * The lease of a sidecar: until when its cards are provably current. It is renewed by the answer to a ping, and runs from the moment at
 * which that ping was sent, by the monotonic clock of the sidecar. So no clock of another machine has a part in it, and a slow network only
 * shortens it.
 */
export class Lease {
  /** When each unanswered ping was sent, by its number. */
  readonly #sentMs = new Map<number, number>();
  #last = 0;
  #untilMs = -Infinity;

  /** The number of a ping that is sent now. */
  ping(monotonicMs: number): number {
    this.#last += 1;
    this.#sentMs.set(this.#last, monotonicMs);
    if (this.#sentMs.size > MAX_PINGS) this.#sentMs.delete(this.#last - MAX_PINGS);
    return this.#last;
  }

  /** The answer to ping `n`: the cards are current until `leaseMs` after it was sent. `false` for the answer to no ping. */
  renew(n: number, leaseMs: number): boolean {
    const sentMs = this.#sentMs.get(n);
    if (sentMs === undefined) return false;
    for (const older of this.#sentMs.keys()) if (older <= n) this.#sentMs.delete(older);
    this.#untilMs = Math.max(this.#untilMs, sentMs + leaseMs);
    return true;
  }

  /** Whether the cards are current. */
  isCurrent(monotonicMs: number): boolean {
    return monotonicMs < this.#untilMs;
  }

  /** The moment at which the lease runs out, on the monotonic clock; `-Infinity` before the first answer. */
  get untilMs(): number {
    return this.#untilMs;
  }

  /** The stream on which the pings were sent has ended. The lease goes on until it is over. */
  forgetPings(): void {
    this.#sentMs.clear();
  }

  /** Ends the lease: what was known before may be wrong. */
  end(): void {
    this.forgetPings();
    this.#untilMs = -Infinity;
  }
}
