/** How long an answer of an authority may take. */

/** How long an answer of an authority may take. */

/** Shortest bound: half of the deadline that Envoy ships with, so that a check has time for an open and a settlement. */
const MIN_MS = 250;
/** A bound is so many times the slowest answer of late, and that one is forgotten by so much with each faster answer. */
const TIMES = 2;
const KEPT = 0.95;

/**
 * How long a sidecar waits for an answer of an authority: 250 ms, or twice what answers have taken, at most as long as configured, and as long at
 * first. So one that answers in 300 ms is waited for: a use whose settlement is not waited for is denied, and may count all the same.
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

  /** Makes a call within the bound, and measures it. One that fails in the end was slow, unless it failed at once. */
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
