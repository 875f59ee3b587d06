/** A lane of background writes: merged, bounded, retried. */

/** Bounds of a lane, and how its items are merged. */
export interface LaneRules<T> {
  /** Most items that wait. */
  readonly max: number;
  /** Most items of one owner. */
  readonly maxPerOwner: number;
  /** Most items taken at once. */
  readonly batch: number;
  /** Merges two items with the same key. */
  readonly merge: (before: T, now: T) => T;
}

/** A waiting item. */
export interface LaneEntry<T> {
  readonly key: string;
  readonly item: T;
  readonly owner: string;
}

/** A queue with at most one item for each key. It is bounded in total and for each owner, so that no owner can fill it. */
export class ReportLane<T> {
  readonly #rules: LaneRules<T>;
  #waiting = new Map<string, LaneEntry<T>>();
  #owned = new Map<string, number>();

  constructor(rules: LaneRules<T>) {
    this.#rules = rules;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Adds an item; `false` if there is no room. An item whose key already waits is merged, and always has room. */
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

  /** Takes the oldest items, at most one batch. */
  take(): readonly LaneEntry<T>[] {
    const taken = [...this.#waiting.values().take(this.#rules.batch)];
    if (taken.length === this.#waiting.size) {
      this.clear();
      return taken;
    }
    for (const { key, owner } of taken) {
      this.#waiting.delete(key);
      const left = (this.#owned.get(owner) ?? 1) - 1;
      if (left === 0) this.#owned.delete(owner);
      else this.#owned.set(owner, left);
    }
    return taken;
  }

  /**
   * Replaces the maps: a map that is emptied entry by entry leaves tables behind that only a collection of the whole heap frees.
   */
  clear(): void {
    this.#waiting = new Map();
    this.#owned = new Map();
  }
}
