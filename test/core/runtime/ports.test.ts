import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { exactClock, exactMsOf } from '../../../src/core/runtime/ports.ts';

/** A machine's clocks for a given true time: a wall clock in whole milliseconds, and a monotonic clock. */
function clockAt(startMs: number) {
  let trueMs = startMs;
  let monotonic = 7;
  const exactMs = exactClock({ nowMs: () => Math.floor(trueMs), monotonicMs: () => monotonic });
  return {
    exactMs,
    wallMs: () => Math.floor(trueMs),
    trueMs: () => trueMs,
    pass: (ms: number) => {
      trueMs += ms;
      monotonic += ms;
    },
    set: (ms: number) => {
      trueMs = ms;
    },
  };
}

describe('exactClock', () => {
  it('finds the true fraction once the wall clock has ticked', () => {
    const clock = clockAt(1_700_000_000_000.75);
    for (let n = 0; n < 2_000; n += 1) {
      clock.pass(0.01);
      clock.exactMs();
    }
    expect(Math.abs(clock.exactMs() - clock.trueMs())).toBeLessThan(0.02);
    clock.pass(0.3);
    expect(Math.abs(clock.exactMs() - clock.trueMs())).toBeLessThan(0.02);
  });

  it('stays within the millisecond of the wall clock, however that is set', () => {
    const step = fc.record({ pass: fc.double({ min: 0, max: 10_000, noNaN: true }), set: fc.option(fc.nat(4e12)) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
        const clock = clockAt(1_700_000_000_000);
        for (const { pass, set } of steps) {
          clock.pass(pass);
          if (set !== null) clock.set(set);
          const exact = clock.exactMs();
          expect(exact).toBeGreaterThanOrEqual(clock.wallMs());
          expect(exact).toBeLessThan(clock.wallMs() + 1);
        }
      }),
    );
  });

  it('is the wall clock if the ports have no exact clock', () => {
    expect(exactMsOf({ nowMs: () => 5 })).toBe(5);
  });
});
