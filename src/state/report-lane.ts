/** What a lane holds at most, and how its items are put together. */
export interface LaneRules<T> {
  /** Items that wait. */
  readonly max: number;
  /** Of one owner. */
  readonly maxPerOwner: number;
  /** Items that are taken at once. */
  readonly batch: number;
  /** What stands for two items with one key. */
  readonly merge: (before: T, now: T) => T;
}

/** An item that waits. */
export interface LaneEntry<T> {
  readonly key: string;
  readonly item: T;
  readonly owner: string;
}

/** A queue with one place for each key, bounded in all and for each owner, so that none of them takes the room of all. */
export class ReportLane<T> {
  readonly #rules: LaneRules<T>;
  readonly #waiting = new Map<string, LaneEntry<T>>();
  readonly #owned = new Map<string, number>();

  constructor(rules: LaneRules<T>) {
    this.#rules = rules;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Whether there was room for it. One whose key waits already is merged with that, and always has room. */
  add(key: string, item: T, owner: string): boolean {
    const before = this.#waiting.get(key);
    if (before !== undefined) {
      this.#waiting.set(key, { ...before, item: this.#rules.merge(before.item, item) });
      return true;
    }
    const owned = this.#owned.get(owner) ?? 0;
    if (this.#waiting.size >= this.#rules.max || owned >= this.#rules.maxPerOwner) return false;
    this.#owned.set(owner, owned + 1);
    this.#waiting.set(key, { key, item, owner });
    return true;
  }

  /** Takes the items that wait the longest, a batch at most. */
  take(): readonly LaneEntry<T>[] {
    const taken = [...this.#waiting.values().take(this.#rules.batch)];
    for (const { key, owner } of taken) {
      this.#waiting.delete(key);
      const left = (this.#owned.get(owner) ?? 1) - 1;
      if (left === 0) this.#owned.delete(owner);
      else this.#owned.set(owner, left);
    }
    return taken;
  }

  clear(): void {
    this.#waiting.clear();
    this.#owned.clear();
  }
}
