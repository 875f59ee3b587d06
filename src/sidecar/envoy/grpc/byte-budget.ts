import { HELD_BYTES } from '../limits.ts';

/**
 * A limit on bytes held. A child budget also counts in its parent, so it can be refused before it is used up itself. INVARIANT:
 * taken bytes are returned, whatever happens to their call.
 */
export class ByteBudget {
  readonly #maxBytes: number;
  readonly #whole: ByteBudget | null;
  #held = 0;

  constructor(maxBytes: number, whole: ByteBudget | null = null) {
    this.#maxBytes = maxBytes;
    this.#whole = whole;
  }

  /** Bytes held. */
  get held(): number {
    return this.#held;
  }

  /** Takes bytes. Returns false, and takes nothing, if there are not enough. */
  take(bytes: number): boolean {
    if (this.#held + bytes > this.#maxBytes) return false;
    if (this.#whole !== null && !this.#whole.take(bytes)) return false;
    this.#held += bytes;
    return true;
  }

  /** Returns bytes taken before. */
  give(bytes: number): void {
    this.#held -= bytes;
    this.#whole?.give(bytes);
  }
}

/** The budgets for the messages of a server. */
export interface MessageBudgets {
  /** All messages. Checks that wait for their answer count here only. */
  readonly all: ByteBudget;
  readonly unfinishedChecks: ByteBudget;
  readonly accessLogs: ByteBudget;
}

/** The unused budgets of a server. */
export function messageBudgets(): MessageBudgets {
  const all = new ByteBudget(HELD_BYTES.all);
  return {
    all,
    unfinishedChecks: new ByteBudget(HELD_BYTES.unfinishedChecks, all),
    accessLogs: new ByteBudget(HELD_BYTES.accessLogs, all),
  };
}
