import { describe, expect, test } from '@jest/globals';
import { LRUCache } from 'lru-cache';
import { upTo } from '../../../../src/core/runtime/collections/up-to.ts';

/** A cache of at most `max` entries that `count` were put into, and the keys it has evicted. */
function filled(max: number, count: number): { readonly cache: LRUCache<number, number>; readonly evicted: number[] } {
  const evicted: number[] = [];
  const dispose = (_value: number, key: number, reason: string): void => {
    if (reason === 'evict') evicted.push(key);
  };
  const cache = new LRUCache<number, number>({ ...upTo(max), dispose });
  for (let key = 0; key < count; key += 1) cache.set(key, key);
  return { cache, evicted };
}

describe('upTo', () => {
  test('keeps the most recently used entries, and tells of each that it evicts', () => {
    const { cache, evicted } = filled(3, 3);
    expect(cache.get(0)).toBe(0);
    cache.set(3, 3);
    expect([...cache.keys()]).toEqual([3, 0, 2]);
    expect(evicted).toEqual([1]);
  });

  test('keeps as many entries as it may, and no more', () => {
    const { cache, evicted } = filled(1_000, 5_000);
    expect(cache.size).toBe(1_000);
    expect(evicted).toHaveLength(4_000);
    for (let key = 4_000; key < 5_000; key += 1) expect(cache.get(key)).toBe(key);
  });

  test('counts an entry that is set again once', () => {
    const { cache, evicted } = filled(2, 2);
    for (let again = 0; again < 10; again += 1) cache.set(1, again);
    expect([...cache.entries()]).toEqual([
      [1, 9],
      [0, 0],
    ]);
    expect(evicted).toEqual([]);
  });

  test('an empty cache of 100,000 entries takes no memory for them', () => {
    const before = process.memoryUsage().arrayBuffers;
    const caches = Array.from({ length: 50 }, () => new LRUCache<number, number>(upTo(100_000)));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(5_000_000);
    expect(caches).toHaveLength(50);
  });

  test.each([0, -1, 1.5])('throws for %p entries', (max) => {
    expect(() => new LRUCache<number, number>(upTo(max))).toThrow(TypeError);
  });
});
