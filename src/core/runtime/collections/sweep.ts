import type { LRUCache } from 'lru-cache';

/** Fewest additions between two walks. */
const MIN_ADDED = 256;
/** Additions between two walks, for each entry that the former left. */
const ADDED_FOR_EACH = 1 / 4;

/**
 * Drops what is gone from a cache. It walks through all entries after a quarter as many additions as the last walk left entries, but at least
 * 256. So a walk costs each addition the same, however many entries there are, and what is gone after a burst stays for that many additions.
 */
export class Sweep<V extends object> {
  readonly #cache: LRUCache<string, V>;
  #untilWalk = MIN_ADDED;

  constructor(cache: LRUCache<string, V>) {
    this.#cache = cache;
  }

  /** Call after each addition. @param isGone whether an entry can be dropped; called in a walk alone */
  added(isGone: (value: V) => boolean): void {
    this.#untilWalk -= 1;
    if (this.#untilWalk > 0) return;
    // First found, then dropped: a cache must not change while it is walked through.
    const gone: string[] = [];
    this.#cache.forEach((value, key) => {
      if (isGone(value)) gone.push(key);
    });
    for (const key of gone) this.#cache.delete(key);
    this.#untilWalk = Math.max(MIN_ADDED, Math.ceil(this.#cache.size * ADDED_FOR_EACH));
  }
}
