/** When a process is at rest, so that other work does not hold back checks. */

/** How long after the last check other work holds back. */
const RECENT_MS = 100;

/** Whether checks are arriving, for other work on the event loop. */
export class CheckActivity {
  readonly #monotonicMs: () => number;
  #lastMs = -Infinity;

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  /** Notes that checks are being decided. */
  note(): void {
    this.#lastMs = this.#monotonicMs();
  }

  /** Whether a check was decided in the last 100 ms. */
  get isRecent(): boolean {
    return this.#monotonicMs() - this.#lastMs < RECENT_MS;
  }
}
