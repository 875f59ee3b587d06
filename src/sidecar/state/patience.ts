/** How long an authority may be silent before another is tried. */

/** After each timeout the next wait is twice as long, up to 8 times as long. */
const MAX_DOUBLINGS = 3;
/** After so many answers in a row the waits are half as long again. */
const ANSWERS_TO_HALVE = 10;

/**
 * How long a sidecar waits for a silent authority. An authority that is starved of processor time has more work with each new
 * stream, and an authority that is given up too early never answers: so waits grow. They do not shrink at once, since a single
 * answer does not prove that it has recovered: otherwise the whole fleet would leave it again and again for as long as it is
 * slow.
 */
export class Patience {
  #doublings = 0;
  #answers = 0;

  /** @param firstMs the wait for an authority that has always answered in time */
  waitMs(firstMs: number): number {
    return firstMs * 2 ** this.#doublings;
  }

  /** A connected authority did not answer in time. */
  silent(): void {
    this.#doublings = Math.min(this.#doublings + 1, MAX_DOUBLINGS);
    this.#answers = 0;
  }

  /** A ping was answered. */
  answered(): void {
    this.#answers += 1;
    if (this.#answers < ANSWERS_TO_HALVE) return;
    this.#doublings = Math.max(0, this.#doublings - 1);
    this.#answers = 0;
  }
}
