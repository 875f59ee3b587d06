/** What was lent under one id. */
export interface Loan {
  readonly id: string;
  readonly amount: number;
  readonly atMs: number;
}

/** What is given back of a loan. */
export interface LoanPart {
  readonly loan: Loan;
  readonly left: number;
  /** What was given back of it before. */
  readonly before: number;
}

/** A loan with what was given back of it. */
interface HeldLoan extends Loan {
  given: number;
}

/** A share is asked for once a counter is used so often within a span of time. Rarer uses are settled one by one. */
const FREQUENT = 4;
const SPAN_MS = 4_000;
/** After a loan that was refused, or whose result is unknown, the next loan is asked for after so long. */
const PAUSE_MS = 1_000;
/** An authority forgets after ten minutes what it has lent under which id. */
const KNOWN_MS = 9 * 60_000;
/** Most loans that are kept although all of them is spent: from these is given back what a use took whose call was not sent. */
const MAX_SPENT_LOANS = 8;

/**
 * The share of one counter: what this process was lent and has not spent. It counts as spent at the authority, so spending it is never
 * beyond the limit. All instants are monotonic milliseconds.
 */
export class Share {
  #left = 0;
  /** Oldest first. What was not given back of them is at least as much as is left, unless the oldest can no longer be given back. */
  #loans: HeldLoan[] = [];
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
    this.#loans.push({ ...loan, given: 0 });
    while (this.#loans.length > MAX_SPENT_LOANS && this.#unreturned(this.#loans.slice(1)) >= this.#left)
      this.#loans.shift();
  }

  /** Nothing was lent, or the result is unknown: asks for nothing for a second. */
  refused(nowMs: number): void {
    this.isAsked = false;
    this.#pausedUntilMs = nowMs + PAUSE_MS;
  }

  /** Whether anything was lent that may still be given back. */
  get hasLoans(): boolean {
    return this.#loans.length > 0;
  }

  /** Empties the share. Returns how much of which loan is to be given back: each part of a loan once the part before is given back. */
  returned(nowMs: number): readonly LoanPart[] {
    const back: LoanPart[] = [];
    let open = this.#left;
    this.#left = 0;
    this.#loans = this.#loans.filter(({ atMs }) => nowMs - atMs < KNOWN_MS);
    for (const loan of this.#loans.toReversed()) {
      const left = Math.min(open, loan.amount - loan.given);
      if (left === 0) continue;
      back.push({ loan, left, before: loan.given });
      loan.given += left;
      open -= left;
    }
    return back;
  }

  /** Nothing more is given back of a loan: it is not known what was. */
  abandon(id: string): void {
    this.#loans = this.#loans.filter((loan) => loan.id !== id);
  }

  #unreturned(loans: readonly HeldLoan[]): number {
    return loans.reduce((sum, { amount, given }) => sum + amount - given, 0);
  }
}
