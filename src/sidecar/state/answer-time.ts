/** How long an answer of an authority may take. */

/**
 * Shortest bound: half of the check timeout in our Envoy configurations (500 ms), so that a check has time for an open and a
 * settlement.
 */
const MIN_MS = 250;
/** The bound is `TIMES` the slowest recent answer, which decays by the factor `KEPT` with each faster answer. */
const TIMES = 2;
const KEPT = 0.95;

/**
 * How long a sidecar waits for an answer of an authority: 250 ms, or twice what answers have taken, at most the configured time, which also
 * applies at first. A timeout that is too short denies a use that may be settled all the same.
 */
export class AnswerTime {
  readonly #mostMs: number;
  readonly #monotonicMs: () => number;
  #slowestMs: number;

  /** @param mostMs the longest bound (`authority.answerMs`) */
  constructor(mostMs: number, monotonicMs: () => number) {
    this.#mostMs = mostMs;
    // How fast authorities answer is not known yet: a restarted sidecar opens every token that is used, on a machine that is busy with that.
    this.#slowestMs = mostMs / TIMES;
    this.#monotonicMs = monotonicMs;
  }

  /** The bound of a call that begins now. */
  get boundMs(): number {
    return Math.min(this.#mostMs, Math.max(MIN_MS, Math.ceil(TIMES * this.#slowestMs)));
  }

  /**
   * Makes a call within the bound, and measures it. A call that failed at its timeout counts as slow; an immediate failure does not count.
   */
  async measured<T extends object>(call: (boundMs: number) => Promise<T>): Promise<T> {
    const { boundMs } = this;
    const beganMs = this.#monotonicMs();
    const reply = await call(boundMs);
    const tookMs = this.#monotonicMs() - beganMs;
    const isAnswered = !('problem' in reply);
    if (isAnswered || tookMs >= boundMs) this.#slowestMs = Math.max(tookMs, this.#slowestMs * KEPT);
    return reply;
  }
}
