/** Decides which refusals of logs are recorded: one per minute and log. */

/** A client that repeats a refused call is recorded once in this time. */
const REFUSED_MS = 60_000;
/** Most logs of which the last refusal is remembered. */
const MAX_REFUSED = 1_024;

/**
 * Which refusals of logs are to be recorded. Of more than 1,024 refused logs, the oldest are forgotten and may be recorded
 * sooner.
 */
export class Refusals {
  readonly #lastMs = new Map<string, number>();

  /** Whether a refusal now is to be recorded. @param nowMs on a monotonic clock */
  isToRecord(origin: string, nowMs: number): boolean {
    if (nowMs - (this.#lastMs.get(origin) ?? -Infinity) < REFUSED_MS) return false;
    const [oldest] = this.#lastMs.size < MAX_REFUSED ? [] : this.#lastMs.keys();
    if (oldest !== undefined) this.#lastMs.delete(oldest);
    this.#lastMs.delete(origin);
    this.#lastMs.set(origin, nowMs);
    return true;
  }
}
