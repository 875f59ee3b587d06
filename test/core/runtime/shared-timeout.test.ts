import { describe, expect, it } from '@jest/globals';
import { SharedTimeout } from '../../../src/core/runtime/shared-timeout.ts';
import type { After } from '../../../src/core/runtime/timers.ts';

/** Timeouts of 200 ms with a clock and timers that the test controls. */
const setUp = (max = 100) => {
  const clock = { ms: 0 };
  const timers = new Map<() => void, number>();
  const timedOut: [number, string][] = [];
  const after: After = (delayMs, run) => {
    timers.set(run, clock.ms + delayMs);
    return () => void timers.delete(run);
  };
  const timeouts = new SharedTimeout<string>({
    ms: 200,
    max,
    onTimeout: (value) => timedOut.push([clock.ms, value]),
    monotonicMs: () => clock.ms,
    after,
  });
  const goTo = (ms: number): void => {
    for (clock.ms += 1; clock.ms <= ms; clock.ms += 1) {
      for (const [run, dueMs] of timers) {
        if (dueMs > clock.ms) continue;
        timers.delete(run);
        run();
      }
    }
    clock.ms = ms;
  };
  return { timeouts, timers, timedOut, goTo };
};

describe('SharedTimeout', () => {
  it('times out each value in time, with one timer for all', () => {
    const { timeouts, timers, timedOut, goTo } = setUp();
    timeouts.add('a');
    goTo(50);
    timeouts.add('b');
    timeouts.add('c');
    expect([timers.size, timeouts.size]).toEqual([1, 3]);
    goTo(1_000);
    expect(timedOut).toEqual([
      [200, 'a'],
      [250, 'b'],
      [250, 'c'],
    ]);
    expect([timers.size, timeouts.size]).toEqual([0, 0]);
  });

  it('does not time out a cancelled value, and keeps nothing of it', () => {
    const { timeouts, timedOut, goTo } = setUp();
    const isThere = timeouts.add('a');
    timeouts.add('b');
    isThere();
    isThere();
    expect(timeouts.size).toBe(1);
    goTo(1_000);
    isThere();
    expect(timedOut).toEqual([[200, 'b']]);
  });

  it('times out the oldest value at once beyond its bound', () => {
    const { timeouts, timedOut, goTo } = setUp(2);
    for (const value of ['a', 'b', 'c', 'd']) timeouts.add(value);
    expect(timedOut).toEqual([
      [0, 'a'],
      [0, 'b'],
    ]);
    goTo(1_000);
    expect(timedOut.slice(2)).toEqual([
      [200, 'c'],
      [200, 'd'],
    ]);
  });

  it('leaves no timer once it is closed, and times out nothing', () => {
    const { timeouts, timers, timedOut, goTo } = setUp();
    timeouts.add('a');
    timeouts.close();
    timeouts.add('b')();
    timeouts.add('c');
    expect([timers.size, timeouts.size]).toEqual([0, 0]);
    goTo(1_000);
    expect(timedOut).toEqual([]);
  });
});
