import { describe, expect, it } from '@jest/globals';
import { LRUCache } from 'lru-cache';
import { Sweep } from '../../../../src/core/runtime/collections/sweep.ts';

interface Entry {
  readonly number: number;
}

/** Adds entries, of which those below `goneBelow(number)` are gone when entry `number` is added; counts how many entries were looked at. */
function added(count: number, goneBelow: (number: number) => number) {
  const cache = new LRUCache<string, Entry>({ max: count });
  const sweep = new Sweep(cache);
  let looked = 0;
  let mostGone = 0;
  for (let number = 0; number < count; number += 1) {
    cache.set(`${number}`, { number });
    sweep.added((entry) => {
      looked += 1;
      return entry.number < goneBelow(number);
    });
    const live = number + 1 - goneBelow(number);
    mostGone = Math.max(mostGone, (cache.size - live) / Math.max(live, 256));
  }
  return { looked, mostGone, size: cache.size };
}

describe('Sweep', () => {
  it('looks at five entries for each addition, however many there are', () => {
    const { looked, size } = added(20_000, () => 0);
    expect(size).toBe(20_000);
    expect(looked).toBeLessThanOrEqual(5 * 20_000);
  });

  it.each([1, 100, 1_000])('keeps no more that is gone than is live, if %i are live', (live) => {
    const { mostGone, looked } = added(20_000, (number) => Math.max(0, number + 1 - live));
    expect(mostGone).toBeLessThanOrEqual(1);
    expect(looked).toBeLessThanOrEqual(5 * 20_000);
  });

  it('drops a burst that is gone after at most a quarter as many additions', () => {
    const BURST = 16_000;
    const { size } = added(BURST + BURST / 4, (number) => (number < BURST ? 0 : BURST));
    expect(size).toBeLessThanOrEqual(BURST / 4);
  });

  it('drops nothing before 256 are added', () => {
    expect(added(255, (number) => number).size).toBe(255);
    expect(added(256, (number) => number).size).toBe(1);
  });
});
