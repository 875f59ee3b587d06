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
  /** Uses whose outcome is awaited; over it the oldest 64th is given up and counted. Default 50,000. */
  readonly maxWaiting: number;
  /** Uses that were reported missing and may still get their outcome; over it the oldest 64th goes. Default 10,000. */
  readonly maxOverdue: number;
}

const defaultLimits: PendingLimits = { maxWaiting: 50_000, maxOverdue: 10_000 };

/**
 * The uses that were answered and whose outcome has not come, by decision id, oldest first. It holds ids and labels alone.
 * A use that is overdue is kept for a late outcome.
 */
export class PendingUses {
  readonly #limits: PendingLimits;
  // INVARIANT: a use is in one of the two: each decision has an id of its own, and what is touched is taken out first.
  readonly #waiting = new Map<string, WaitingUse>();
  readonly #overdue = new Map<string, WaitingUse>();
  #givenUp = 0;

  constructor(limits: Partial<PendingLimits> = {}) {
    this.#limits = { ...defaultLimits, ...limits };
  }

  /** Uses that wait for their outcome. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Adds a use; copies what it keeps, so that nothing else of it stays in memory. */
  add({ decisionId, taskId, agent, action, decision }: AwaitedUse, nowMs: number): void {
    const use = { decisionId, taskId, agent, action, decision: { kind: decision.kind }, sinceMs: nowMs };
    this.#waiting.set(decisionId, use);
    this.#givenUp += dropOldest(this.#waiting, this.#limits.maxWaiting);
  }

  /** The call of a use goes on: it waits anew. */
  touch(decisionId: string, nowMs: number): void {
    const use = this.take(decisionId);
    if (use !== null) this.add(use, nowMs);
  }

  /** Takes out the use of a decision; `null` where this process does not know it, or no longer. */
  take(decisionId: string): AwaitedUse | null {
    return takeFrom(this.#waiting, decisionId) ?? takeFrom(this.#overdue, decisionId) ?? null;
  }

  /** The uses that have waited since before `beforeMs`; each is named once. */
  overdue(beforeMs: number): readonly WaitingUse[] {
    const found: WaitingUse[] = [];
    for (const use of this.#waiting.values()) {
      if (use.sinceMs >= beforeMs) break;
      found.push(use);
    }
    for (const use of found) {
      this.#waiting.delete(use.decisionId);
      this.#overdue.set(use.decisionId, use);
      dropOldest(this.#overdue, this.#limits.maxOverdue);
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

function takeFrom<V>(map: Map<string, V>, key: string): V | undefined {
  const value = map.get(key);
  if (value !== undefined) map.delete(key);
  return value;
}

/**
 * Makes room in a map with more than `max` entries; how many went. Many at once, since a Map steps over all it has deleted to
 * find its oldest.
 */
function dropOldest(map: Map<string, unknown>, max: number): number {
  if (map.size <= max) return 0;
  const before = map.size;
  const target = max - Math.floor(max / 64);
  for (const key of map.keys()) {
    if (map.size <= target) break;
    map.delete(key);
  }
  return before - map.size;
}
