import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { FairRate } from '../../../../src/core/runtime/collections/fair-rate.ts';

/** How often a party may take until it is refused. */
const takenBy = (rate: FairRate, party: string): number => {
  let taken = 0;
  while (rate.take(party)) taken += 1;
  return taken;
};

describe('FairRate', () => {
  it('leaves one party four fifths of a second, and has room for others beside it', () => {
    const rate = new FairRate({ perSecond: 1_000, monotonicMs: () => 0 });
    expect(takenBy(rate, 'flood')).toBe(800);
    expect(takenBy(rate, 'b')).toBe(160);
    expect(rate.take('flood')).toBe(false);
    expect(rate.take('c')).toBe(true);
  });

  it('gives back what was taken a second ago', () => {
    let nowMs = 0;
    const rate = new FairRate({ perSecond: 100, monotonicMs: () => nowMs });
    expect(takenBy(rate, 'a')).toBe(80);
    nowMs = 1_000;
    expect(rate.take('a')).toBe(false);
    nowMs = 1_200;
    expect(takenBy(rate, 'a')).toBe(80);
  });

  it('never gives more in any second than its rate, at random times by random parties (seed 41)', () => {
    const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 300 }), fc.constantFrom('a', 'b', 'c')), {
      maxLength: 200,
    });
    fc.assert(
      fc.property(steps, (taken) => {
        let nowMs = 0;
        const rate = new FairRate({ perSecond: 10, monotonicMs: () => nowMs });
        const times: number[] = [];
        for (const [waitMs, party] of taken) {
          nowMs += waitMs;
          if (rate.take(party)) times.push(nowMs);
        }
        for (const at of times)
          expect(times.filter((one) => one >= at && one < at + 1_000).length).toBeLessThanOrEqual(10);
      }),
      { seed: 41 },
    );
  });
});
