import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { refOf } from '../../../src/tools/evidence/counted.ts';
import type { LedgerPlace } from '../../../src/tools/evidence/counted.ts';
import { byPlace, sampleOf, scoreOf } from '../../../src/tools/evidence/sample.ts';

const places: readonly LedgerPlace[] = Array.from({ length: 60 }, (_, n) => ({
  log: n % 3 === 0 ? 'tools-2' : n % 3 === 1 ? null : 'tools-1',
  seq: n + 1,
  at: n,
}));
const sampled = (size: number, seed: string, from = places): readonly LedgerPlace[] => {
  const sample = sampleOf(size);
  for (const place of from) sample.offer(place, scoreOf(seed, refOf(place)));
  return sample.chosen();
};

describe('a sample of records', () => {
  it('is the same for a seed, in whatever order the records are read', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([...places], { minLength: 60 }), fc.nat(70), fc.string(), (order, size, seed) => {
        expect(sampled(size, seed, order)).toEqual(sampled(size, seed));
      }),
    );
  });

  it('has as many records as asked, or all, each once and in the order of their places', () => {
    for (const size of [0, 1, 7, 60, 61]) {
      const chosen = sampled(size, 'seed');
      expect(chosen).toHaveLength(Math.min(size, places.length));
      expect(chosen).toEqual([...new Set(chosen)].toSorted(byPlace));
    }
  });

  it('chooses each record as likely as another, over many seeds', () => {
    const times = new Map<number, number>(places.map(({ seq }) => [seq, 0]));
    for (let seed = 0; seed < 600; seed += 1)
      for (const { seq } of sampled(6, String(seed))) times.set(seq, (times.get(seq) ?? 0) + 1);
    // 60 times each is expected, with a standard deviation of 7.4; the seeds are always the same.
    expect(Math.min(...times.values())).toBeGreaterThan(30);
    expect(Math.max(...times.values())).toBeLessThan(90);
  });

  it('shares nothing with a sample of another seed but by chance', () => {
    expect(sampled(10, 'a')).not.toEqual(sampled(10, 'b'));
  });
});

describe('byPlace', () => {
  it('has the records of the ledger first, then each log by number', () => {
    const sorted: readonly LedgerPlace[] = [
      { log: null, seq: 2, at: 4 },
      { log: null, seq: 10, at: 3 },
      { log: 'a', seq: 1, at: 9 },
      { log: 'a', seq: 3, at: 0 },
      { log: 'b', seq: 2, at: 1 },
    ];
    expect(sorted.toReversed().toSorted(byPlace)).toEqual(sorted);
  });
});
