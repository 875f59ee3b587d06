import { HELD_BYTES } from './limits.ts';

/**
 * How many bytes some may hold together. A part of a larger budget counts there too, so that it can run out before it is spent
 * itself. INVARIANT: what is taken is given back, whatever becomes of the call it was taken for.
 */
export class ByteBudget {
  readonly #maxBytes: number;
  readonly #whole: ByteBudget | null;
  #held = 0;

  constructor(maxBytes: number, whole: ByteBudget | null = null) {
    this.#maxBytes = maxBytes;
    this.#whole = whole;
  }

  /** Bytes that are held. */
  get held(): number {
    return this.#held;
  }

  /** Takes so many; whether they were there, else nothing is taken. */
  take(bytes: number): boolean {
    if (this.#held + bytes > this.#maxBytes) return false;
    if (this.#whole !== null && !this.#whole.take(bytes)) return false;
    this.#held += bytes;
    return true;
  }

  /** Gives back so many of those that were taken. */
  give(bytes: number): void {
    this.#held -= bytes;
    this.#whole?.give(bytes);
  }
}

/** What the messages of one server may hold, by what they are. */
export interface MessageBudgets {
  /** All of them. Checks that wait to be decided or answered are in this alone. */
  readonly all: ByteBudget;
  readonly unfinishedChecks: ByteBudget;
  readonly accessLogs: ByteBudget;
}

/** The budgets of a server, of which nothing is spent. */
export function messageBudgets(): MessageBudgets {
  const all = new ByteBudget(HELD_BYTES.all);
  return {
    all,
    unfinishedChecks: new ByteBudget(HELD_BYTES.unfinishedChecks, all),
    accessLogs: new ByteBudget(HELD_BYTES.accessLogs, all),
  };
}
