/** One counter of a limit while records are tried: what its windows had, and what they would have denied. */

/** The result for one key of a limit. Numbers are in the unit of the state: decimals in ten-thousandths. */
export interface TriedKey {
  /** JSON of the values of `per`. */
  readonly who: string;
  /** Windows in which something would have been denied; of open tasks always 0. */
  readonly windows: number;
  /** Uses or declarations that would have been denied. */
  readonly denied: number;
  /** The most that one window counted; for open tasks, the most that were open at once. */
  readonly most: number;
  /** When the first would have been denied, and its decision; `null` if none. */
  readonly first: { readonly atMs: number; readonly decisionId: string } | null;
}

/** What is taken, by whom and when. */
export interface TriedAttempt {
  readonly atMs: number;
  readonly decisionId: string;
}

/** What would have been denied, as long as the use may still be withdrawn. */
export interface TriedDenial {
  /** The use was withdrawn, so nothing was denied. */
  readonly withdraw: () => void;
  /** The use is not withdrawn any more. Denials of a counter are kept in their order. */
  readonly keep: () => void;
}

/** A counter in its current window. Records come in the order of their instants; a record that comes late counts in the current window. */
export class TriedCounter {
  readonly #who: string;
  #startsMs = -Infinity;
  #used = 0;
  #window = { denials: 0 };
  #most = 0;
  #windows = 0;
  #denied = 0;
  /** Denials that may still be withdrawn, the first of which counts; no more are added once the first is kept. */
  readonly #firsts: TriedAttempt[] = [];
  #isFirstKept = false;
  readonly #values = new Set<string>();
  readonly #open = new Map<string, number>();

  constructor(who: string) {
    this.#who = who;
  }

  /** Whether an amount, or a value not yet counted, finds room. Starts a new window if the instant is past the current. */
  hasRoom(
    {
      amount,
      max,
      value,
      windowMs,
    }: { readonly amount: number; readonly max: number; readonly value?: string; readonly windowMs: number },
    atMs: number,
  ): boolean {
    const startsMs = Math.floor(atMs / windowMs) * windowMs;
    if (startsMs > this.#startsMs) {
      this.#startsMs = startsMs;
      this.#used = 0;
      this.#window = { denials: 0 };
      this.#values.clear();
    }
    return (value !== undefined && this.#values.has(value)) || this.#used + amount <= max;
  }

  take(amount: number, value: string | undefined): void {
    if (value !== undefined && this.#values.has(value)) return;
    if (value !== undefined) this.#values.add(value);
    this.#used += amount;
    this.#most = Math.max(this.#most, this.#used);
  }

  /** Gives an amount back that was taken at an instant of this window; different values are not given back, as by the state. */
  giveBack(
    { amount, value, windowMs }: { readonly amount: number; readonly value?: string; readonly windowMs: number },
    atMs: number,
  ): void {
    const isOfWindow = Math.floor(atMs / windowMs) * windowMs === this.#startsMs;
    if (value === undefined && isOfWindow) this.#used -= amount;
  }

  /** Whether another task may be open at an instant. */
  hasPlace(max: number, atMs: number): boolean {
    for (const [task, deadlineMs] of this.#open) if (deadlineMs <= atMs) this.#open.delete(task);
    return this.#open.size < max;
  }

  open(task: string, deadlineMs: number): void {
    this.#open.set(task, deadlineMs);
    this.#most = Math.max(this.#most, this.#open.size);
  }

  end(task: string): void {
    this.#open.delete(task);
  }

  deny(attempt: TriedAttempt): TriedDenial {
    const window = this.#window;
    const hasWindow = this.#startsMs > -Infinity;
    this.#denied += 1;
    window.denials += 1;
    if (hasWindow && window.denials === 1) this.#windows += 1;
    if (!this.#isFirstKept) this.#firsts.push(attempt);
    return {
      withdraw: () => {
        this.#denied -= 1;
        window.denials -= 1;
        if (hasWindow && window.denials === 0) this.#windows -= 1;
        const at = this.#firsts.indexOf(attempt);
        if (at !== -1) this.#firsts.splice(at, 1);
      },
      keep: () => {
        if (this.#firsts[0] !== attempt) return;
        this.#firsts.length = 1;
        this.#isFirstKept = true;
      },
    };
  }

  result(): TriedKey {
    const [first = null] = this.#firsts;
    return { who: this.#who, windows: this.#windows, denied: this.#denied, most: this.#most, first };
  }
}
