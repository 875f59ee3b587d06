/** What was lent under one id. */
export interface Loan {
  readonly id: string;
  readonly amount: number;
  readonly atMs: number;
}

/** A share is asked for once a counter is used so often within a span of time. Rarer uses are settled one by one. */
const FREQUENT = 4;
const SPAN_MS = 4_000;
/** After a loan that was refused, or whose result is unknown, the next loan is asked for after so long. */
const PAUSE_MS = 1_000;
/** An authority forgets after ten minutes what it has lent under which id. */
const KNOWN_MS = 9 * 60_000;

/**
 * The share of one counter: what this process was lent and has not spent. It counts as spent at the authority, so spending it is never
 * beyond the limit. All instants are monotonic milliseconds.
 */
export class Share {
  #left = 0;
  /** Oldest first. Together at least as much as is left, unless the oldest can no longer be given back. */
  #loans: Loan[] = [];
  #spanMs = -Infinity;
  #used = { uses: 0, amount: 0 };
  #usedBefore = { uses: 0, amount: 0 };
  /** The most that may be held: unlimited until a loan is smaller than wanted, then the amount of that loan. */
  #most = Infinity;
  #pausedUntilMs = -Infinity;
  /** Whether a loan is asked for. */
  isAsked = false;

  get left(): number {
    return this.#left;
  }

  /** When it was used last, to about a span. */
  get usedMs(): number {
    return this.#spanMs;
  }

  /** Counts a use, settled from this share or not. Returns whether this use begins a new span. */
  used(amount: number, nowMs: number): boolean {
    const passedMs = nowMs - this.#spanMs;
    const isNext = passedMs >= SPAN_MS;
    if (isNext) {
      this.#usedBefore = passedMs < 2 * SPAN_MS ? this.#used : { uses: 0, amount: 0 };
      this.#used = { uses: 0, amount: 0 };
      this.#spanMs = nowMs;
    }
    this.#used.uses += 1;
    this.#used.amount += amount;
    return isNext;
  }

  /** Spends from it. The caller has looked at `left`. */
  spend(amount: number): void {
    this.#left -= amount;
  }

  /** Puts back what a use took, if its call was not sent. */
  putBack(amount: number): void {
    this.#left += amount;
  }

  /** How much more to ask for: up to the uses of a span, once half of that is spent; 0 for nothing. */
  wanted(nowMs: number): number {
    if (this.isAsked || nowMs < this.#pausedUntilMs) return 0;
    if (Math.max(this.#used.uses, this.#usedBefore.uses) < FREQUENT) return 0;
    // A larger number is not exact.
    const most = Math.min(this.#most, Number.MAX_SAFE_INTEGER);
    const target = Math.min(most, Math.max(this.#used.amount, this.#usedBefore.amount));
    return this.#left * 2 > target ? 0 : target - this.#left;
  }

  /** Adds what was lent of what was wanted. If that is nothing, the counter is near its limit, and nothing more is asked for. */
  lent(loan: Loan, wanted: number): void {
    this.isAsked = false;
    // INVARIANT: from then on no more is held at once. Otherwise repeated loans would take one eighth of the rest after another.
    if (loan.amount < wanted) this.#most = loan.amount;
    if (loan.amount === 0) return;
    this.#left += loan.amount;
    this.#loans.push(loan);
    while (this.#lentInAll() - (this.#loans[0]?.amount ?? 0) >= this.#left) this.#loans.shift();
  }

  /** Nothing was lent, or the result is unknown: asks for nothing for a second. */
  refused(nowMs: number): void {
    this.isAsked = false;
    this.#pausedUntilMs = nowMs + PAUSE_MS;
  }

  /** Empties the share. Returns how much of which loan is to be given back. */
  returned(nowMs: number): readonly { readonly loan: Loan; readonly left: number }[] {
    const back: { readonly loan: Loan; readonly left: number }[] = [];
    for (const loan of this.#loans.toReversed()) {
      const left = Math.min(this.#left, loan.amount);
      this.#left -= left;
      if (left > 0 && nowMs - loan.atMs < KNOWN_MS) back.push({ loan, left });
    }
    this.#left = 0;
    this.#loans = [];
    return back;
  }

  #lentInAll(): number {
    return this.#loans.reduce((sum, { amount }) => sum + amount, 0);
  }
}
