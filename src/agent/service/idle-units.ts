/** What is told to rest. */
export interface Resting {
  /** Closes its connections. A later call opens others. */
  readonly rest: () => void;
}

/** Most units that keep connections between two calls. A connection of TLS takes some 300 KiB of the C heap. */
const MAX_IDLE = 64;
/** Longest time that a unit keeps connections between two calls. Longer than an unused connection over HTTP/1.1 is kept. */
const IDLE_MS = 5_000;

/**
 * The units of a helper that may have connections although no call of them is under way. Tasks share no connection, and most of many tasks wait for a
 * model or a person: so 64 units keep theirs, for 5 s at most, and the unit that is idle for the longest time rests first.
 */
export class IdleUnits {
  /** Since when each is idle, by the monotonic clock; the longest idle first. */
  readonly #sinceMs = new Map<Resting, number>();

  /** No call of the unit is under way any more. */
  idle(unit: Resting, nowMs: number): void {
    this.#sinceMs.delete(unit);
    this.#sinceMs.set(unit, nowMs);
    const [longest] = this.#sinceMs.keys();
    if (this.#sinceMs.size > MAX_IDLE && longest !== undefined) this.#rest(longest);
  }

  /** A call of the unit begins, or the unit ends. INVARIANT: a unit does not rest during a call, which would lose it. */
  busy(unit: Resting): void {
    this.#sinceMs.delete(unit);
  }

  /** Rests the units that have been idle for 5 s. */
  restOverdue(nowMs: number): void {
    for (const [unit, sinceMs] of this.#sinceMs) {
      if (nowMs < sinceMs + IDLE_MS) return;
      this.#rest(unit);
    }
  }

  #rest(unit: Resting): void {
    this.#sinceMs.delete(unit);
    unit.rest();
  }
}
