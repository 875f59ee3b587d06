import { describe, expect, it } from '@jest/globals';
import { TokenBucket } from '../../../../src/core/runtime/collections/token-bucket.ts';

/** A bucket and its clock. */
const started = (burst: number, perSecond: number) => {
  const clock = { ms: 5_000 };
  const bucket = new TokenBucket({ burst, perSecond, monotonicMs: () => clock.ms });
  /** How many of `count` takes succeed. */
  const taken = (count: number): number => Array.from({ length: count }).filter(() => bucket.take()).length;
  return { bucket, clock, taken };
};

describe('TokenBucket', () => {
  it('allows a burst, and no more', () => {
    const { taken } = started(100, 10);
    expect([taken(100), taken(5)]).toEqual([100, 0]);
  });

  it('refills over time, up to the burst', () => {
    const { clock, taken } = started(100, 10);
    taken(100);
    clock.ms += 500;
    expect(taken(10)).toBe(5);
    clock.ms += 1_000_000;
    expect(taken(200)).toBe(100);
  });

  it('gains nothing for the time in which it was full', () => {
    const { clock, taken } = started(100, 10);
    expect(taken(1)).toBe(1);
    clock.ms += 1_000_000;
    expect([taken(99), taken(200)]).toEqual([99, 1]);
  });

  it('sustains its rate, however calls fall between ticks of the clock', () => {
    const { bucket, clock } = started(10, 1_000);
    let refused = 0;
    for (let n = 0; n < 100_000; n += 1) {
      // 1.5 ms and 0.5 ms apart: fractions of a token must not be lost.
      clock.ms += n % 2 === 0 ? 1.5 : 0.5;
      if (!bucket.take()) refused += 1;
    }
    expect(refused).toBe(0);
  });

  it('takes several at once or none, and accepts returned tokens up to the burst', () => {
    const { bucket, taken } = started(10, 0);
    expect([bucket.take(11), bucket.take(8), bucket.take(3)]).toEqual([false, true, false]);
    bucket.give(1);
    expect([bucket.take(3), bucket.take(1)]).toEqual([true, false]);
    bucket.give(1_000);
    expect(taken(20)).toBe(10);
  });
});
