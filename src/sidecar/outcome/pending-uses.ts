import { LRUCache } from 'lru-cache';
import { upTo } from '../../core/runtime/collections/up-to.ts';

/** A use that waits for its outcome. */
export interface AwaitedUse {
  readonly decisionId: string;
  readonly taskId: string | null;
  readonly agent: string | null;
  readonly action: string | null;
  readonly decision: { readonly kind: 'allow' | 'deny' };
  readonly mode?: 'observe';
}

/** A pending use, and since when it has been waiting. */
export interface WaitingUse extends AwaitedUse {
  /** On the monotonic clock. */
  readonly sinceMs: number;
}

/** Limits of the pending uses. */
export interface PendingLimits {
  /** Uses whose outcome is awaited. Beyond that, the oldest is dropped and counted. Default 50,000. */
  readonly maxWaiting: number;
  /** Uses reported missing that may still get their outcome. Beyond that, the oldest is dropped. Default 10,000. */
  readonly maxOverdue: number;
}

const defaultLimits: PendingLimits = { maxWaiting: 50_000, maxOverdue: 10_000 };

/**
 * The answered uses without an outcome, by decision id, oldest first. Holds ids and labels only. Overdue uses are kept for a
 * late outcome.
 */
export class PendingUses {
  // INVARIANT: a use is in exactly one of the two caches. Each decision has its own id, and a touched use is removed first.
  readonly #waiting: LRUCache<string, WaitingUse>;
  readonly #overdue: LRUCache<string, WaitingUse>;
  #givenUp = 0;

  constructor(limits: Partial<PendingLimits> = {}) {
    const { maxWaiting, maxOverdue } = { ...defaultLimits, ...limits };
    this.#waiting = new LRUCache({
      ...upTo(maxWaiting),
      dispose: (_use, _id, reason) => {
        if (reason === 'evict') this.#givenUp += 1;
      },
    });
    this.#overdue = new LRUCache(upTo(maxOverdue));
  }

  /** Number of pending uses. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Adds a use; copies its fields, so that nothing else of it stays in memory. */
  add({ decisionId, taskId, agent, action, decision, mode }: AwaitedUse, nowMs: number): void {
    const use = { decisionId, taskId, agent, action, decision: { kind: decision.kind }, sinceMs: nowMs };
    this.#waiting.set(decisionId, mode === undefined ? use : { ...use, mode });
  }

  /** The call of a use is still running: restarts its wait. */
  touch(decisionId: string, nowMs: number): void {
    const use = this.take(decisionId);
    if (use !== null) this.add(use, nowMs);
  }

  /** Removes and returns the use of a decision; `null` if it is unknown. */
  take(decisionId: string): AwaitedUse | null {
    const uses = this.#waiting.has(decisionId) ? this.#waiting : this.#overdue;
    const use = uses.get(decisionId);
    uses.delete(decisionId);
    return use ?? null;
  }

  /** The uses waiting since before `beforeMs`; each is returned once. */
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

  /** Number of uses dropped at the limit since the last call. */
  takeGivenUp(): number {
    const count = this.#givenUp;
    this.#givenUp = 0;
    return count;
  }
}
