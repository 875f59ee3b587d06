import type { LRUCache } from 'lru-cache';

/** Drops the entries of a cache for which `isGone` is true. Visits all entries. */
export function dropWhere<V extends object>(cache: LRUCache<string, V>, isGone: (value: V) => boolean): void {
  // First found, then dropped: a cache must not change while it is walked through.
  const gone: string[] = [];
  cache.forEach((value, key) => {
    if (isGone(value)) gone.push(key);
  });
  for (const key of gone) cache.delete(key);
}
