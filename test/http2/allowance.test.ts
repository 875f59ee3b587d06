import { describe, expect, it } from '@jest/globals';
import { Allowance } from '../../src/http2/allowance.ts';

/** An allowance and its clock. */
const started = (burst: number, perSecond: number) => {
  const clock = { ms: 5_000, reads: 0 };
  const monotonicMs = (): number => {
    clock.reads += 1;
    return clock.ms;
  };
  const allowance = new Allowance({ burst, perSecond, monotonicMs });
  clock.reads = 0;
  /** How many of these are let pass. */
  const taken = (count: number): number => Array.from({ length: count }).filter(() => allowance.take()).length;
  return { allowance, clock, taken };
};

describe('Allowance', () => {
  it('lets a burst pass without a look at the clock, and no more', () => {
    const { clock, taken } = started(100, 10);
    expect([taken(100), clock.reads, taken(5)]).toEqual([100, 0, 0]);
  });

  it('regains with time, and never more than the burst', () => {
    const { clock, taken } = started(100, 10);
    taken(100);
    clock.ms += 500;
    expect(taken(10)).toBe(5);
    clock.ms += 1_000_000;
    expect(taken(200)).toBe(100);
  });

  it('lets its rate pass for ever, however the calls fall between ticks of the clock', () => {
    const { allowance, clock } = started(10, 1_000);
    let refused = 0;
    for (let n = 0; n < 100_000; n += 1) {
      // 1.5 ms and 0.5 ms apart: parts of one that are regained are not lost.
      clock.ms += n % 2 === 0 ? 1.5 : 0.5;
      if (!allowance.take()) refused += 1;
    }
    expect(refused).toBe(0);
  });

  it('takes many at once or none, and is given more up to the burst', () => {
    const { allowance, taken } = started(10, 0);
    expect([allowance.take(11), allowance.take(8), allowance.take(3)]).toEqual([false, true, false]);
    allowance.give(1);
    expect([allowance.take(3), allowance.take(1)]).toEqual([true, false]);
    allowance.give(1_000);
    expect(taken(20)).toBe(10);
  });
});
