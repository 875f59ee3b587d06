/** Until when the cards of a sidecar are current, by the pings that were answered. */

/** Most pings whose answer may still come. An answer to an older ping renews nothing. */
const MAX_PINGS = 64;

/** A moment, by the clocks of this machine. */
export interface Moment {
  readonly monotonicMs: number;
  /** Milliseconds since the Unix epoch. */
  readonly wallMs: number;
}

/**
 * The lease of a sidecar: until when its cards are provably current. It is renewed by the answer to a ping, and runs from the moment at
 * which that ping was sent, by the clocks of the sidecar. So no clock of another machine has a part in it, and a slow network only
 * shortens it.
 *
 * It expires by the monotonic clock or the wall clock, whichever is first: the monotonic clock of a paused virtual machine stops, and its
 * wall clock is set when it resumes. A wall clock that is set forward ends a lease early, until the next ping is answered; setting it back
 * lengthens none.
 */
export class Lease {
  /** When each unanswered ping was sent, by its number. */
  readonly #sent = new Map<number, Moment>();
  #last = 0;
  #until: Moment = OVER;

  /** The number of a ping that is sent now. */
  ping(at: Moment): number {
    this.#last += 1;
    this.#sent.set(this.#last, at);
    if (this.#sent.size > MAX_PINGS) this.#sent.delete(this.#last - MAX_PINGS);
    return this.#last;
  }

  /** The answer to ping `n`: the cards are current until `leaseMs` after it was sent. `false` for the answer to no ping. */
  renew(n: number, leaseMs: number): boolean {
    const sent = this.#sent.get(n);
    if (sent === undefined) return false;
    for (const older of this.#sent.keys()) if (older <= n) this.#sent.delete(older);
    const untilMs = sent.monotonicMs + leaseMs;
    if (untilMs > this.#until.monotonicMs) this.#until = { monotonicMs: untilMs, wallMs: sent.wallMs + leaseMs };
    return true;
  }

  /** Whether the cards are current. */
  isCurrent(at: Moment): boolean {
    return this.leftMs(at) > 0;
  }

  /** How long the cards are current, in milliseconds; 0 if they are not. */
  leftMs({ monotonicMs, wallMs }: Moment): number {
    return Math.max(0, Math.min(this.#until.monotonicMs - monotonicMs, this.#until.wallMs - wallMs));
  }

  /** The stream on which the pings were sent has ended. The lease goes on until it expires. */
  forgetPings(): void {
    this.#sent.clear();
  }

  /** Ends the lease: what was known before may be wrong. */
  end(): void {
    this.forgetPings();
    this.#until = OVER;
  }
}

const OVER: Moment = { monotonicMs: -Infinity, wallMs: -Infinity };
