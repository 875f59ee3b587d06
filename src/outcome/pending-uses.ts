import { LRUCache } from 'lru-cache';

/** A use whose outcome is still to come. */
export interface AwaitedUse {
  readonly decisionId: string;
  readonly taskId: string | null;
  readonly agent: string | null;
  readonly action: string | null;
  readonly decision: { readonly kind: 'allow' | 'deny' };
}

/** A use and since when it has waited. */
export interface WaitingUse extends AwaitedUse {
  /** On the monotonic clock. */
  readonly sinceMs: number;
}

/** How many uses are kept. */
export interface PendingLimits {
  /** Uses whose outcome is awaited; over it the oldest is given up and counted. Default 50,000. */
  readonly maxWaiting: number;
  /** Uses that were reported missing and may still get their outcome; over it the oldest goes. Default 10,000. */
  readonly maxOverdue: number;
}

const defaultLimits: PendingLimits = { maxWaiting: 50_000, maxOverdue: 10_000 };

/**
 * The uses that were answered and whose outcome has not come, by decision id, oldest first. It holds ids and labels alone.
 * A use that is overdue is kept for a late outcome.
 */
export class PendingUses {
  // INVARIANT: a use is in one of the two: each decision has an id of its own, and what is touched is taken out first.
  readonly #waiting: LRUCache<string, WaitingUse>;
  readonly #overdue: LRUCache<string, WaitingUse>;
  #givenUp = 0;

  constructor(limits: Partial<PendingLimits> = {}) {
    const { maxWaiting, maxOverdue } = { ...defaultLimits, ...limits };
    this.#waiting = new LRUCache({
      max: maxWaiting,
      dispose: (_use, _id, reason) => {
        if (reason === 'evict') this.#givenUp += 1;
      },
    });
    this.#overdue = new LRUCache({ max: maxOverdue });
  }

  /** Uses that wait for their outcome. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Adds a use; copies what it keeps, so that nothing else of it stays in memory. */
  add({ decisionId, taskId, agent, action, decision }: AwaitedUse, nowMs: number): void {
    const use = { decisionId, taskId, agent, action, decision: { kind: decision.kind }, sinceMs: nowMs };
    this.#waiting.set(decisionId, use);
  }

  /** The call of a use goes on: it waits anew. */
  touch(decisionId: string, nowMs: number): void {
    const use = this.take(decisionId);
    if (use !== null) this.add(use, nowMs);
  }

  /** Takes out the use of a decision; `null` where this process does not know it, or no longer. */
  take(decisionId: string): AwaitedUse | null {
    const uses = this.#waiting.has(decisionId) ? this.#waiting : this.#overdue;
    const use = uses.get(decisionId);
    uses.delete(decisionId);
    return use ?? null;
  }

  /** The uses that have waited since before `beforeMs`; each is named once. */
  overdue(beforeMs: number): readonly WaitingUse[] {
    const found: WaitingUse[] = [];
    for (const use of this.#waiting.rvalues()) {
      if (use === undefined || use.sinceMs >= beforeMs) break;
      found.push(use);
    }
    for (const use of found) {
      this.#waiting.delete(use.decisionId);
      this.#overdue.set(use.decisionId, use);
    }
    return found;
  }

  /** How many were given up at the bound since this was last asked. */
  takeGivenUp(): number {
    const count = this.#givenUp;
    this.#givenUp = 0;
    return count;
  }
}
