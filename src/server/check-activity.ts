/** How long after the last check others still hold back. */
const RECENT_MS = 100;

/** Whether checks come now, for what shares the event loop with them. */
export class CheckActivity {
  readonly #monotonicMs: () => number;
  #lastMs = -Infinity;

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  /** Some checks are decided now. */
  note(): void {
    this.#lastMs = this.#monotonicMs();
  }

  /** Whether some were in the last 100 ms. */
  get isRecent(): boolean {
    return this.#monotonicMs() - this.#lastMs < RECENT_MS;
  }
}
