/** A wall clock further behind than this was wrong before it was set back, so the floor gives way. 24 hours. */
export const MAX_FLOOR_MS = 24 * 60 * 60 * 1_000;

/**
 * A wall clock that does not step back: it gives the latest instant it has seen, until the machine's clock is past it again.
 * The state file remembers that instant, so that neither a step back nor a restart revives an expired task. A step of more
 * than 24 hours is believed: a clock once set to next year would else hold every task there.
 */
export class ClockFloor {
  readonly #wallMs: () => number;
  #highestMs: number;

  /** @param highestMs the latest instant an earlier process has seen; 0 where there was none */
  constructor(wallMs: () => number, highestMs: number) {
    this.#wallMs = wallMs;
    this.#highestMs = highestMs;
  }

  /** Milliseconds since the Unix epoch. */
  nowMs(): number {
    const wallMs = this.#wallMs();
    const isStepBack = wallMs < this.#highestMs && this.#highestMs - wallMs <= MAX_FLOOR_MS;
    if (!isStepBack) this.#highestMs = wallMs;
    return this.#highestMs;
  }
}
