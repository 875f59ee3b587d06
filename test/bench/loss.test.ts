import { describe, expect, test } from '@jest/globals';
import { falseAlarm, MIN_KEPT, RUNS, verdictsOf } from './loss.ts';
import type { GateFigure, Verdict } from './loss.ts';

const figures: Readonly<Record<string, GateFigure>> = {
  rate: { better: 'more', of: 'requests a second' },
  memory: { better: 'less', of: 'resident memory' },
};
/** As a machine with noise gives it: nine runs within 8 %. */
const noise = [1, 0.97, 1.03, 0.99, 1.01, 0.96, 1.04, 1, 0.98];
const says = (
  name: 'rate' | 'memory',
  runs: readonly number[],
  kept: readonly number[] = noise,
): Verdict['says'] | undefined =>
  verdictsOf(figures, {
    kept: kept.map((value) => ({ rate: value, memory: value })),
    runs: runs.map((value) => ({ rate: value, memory: value })),
  }).find((verdict) => verdict.name === name)?.says;

describe('verdictsOf', () => {
  test.each([
    ['the same', [1, 0.99, 1.02], 'as before', 'as before'],
    ['a tenth less', [0.9, 0.91, 0.89], 'loss', 'as before'],
    ['a tenth more', [1.1, 1.11, 1.09], 'as before', 'loss'],
    ['less, except for a run within what was kept', [0.9, 0.97, 0.89], 'as before', 'as before'],
    ['less in the only run yet', [0.9], 'suspect', 'as before'],
    ['less in two runs', [0.9, 0.9], 'suspect', 'as before'],
  ] as const)('%s', (_, runs, rate, memory) => {
    expect(says('rate', runs)).toBe(rate);
    expect(says('memory', runs)).toBe(memory);
  });

  test('a loss of less than 3 % is none, however exact the figure is', () => {
    const exact = noise.map(() => 35);
    expect(says('memory', [35.9, 35.9, 35.9], exact)).toBe('as before');
    expect(says('memory', [36.1, 36.1, 36.1], exact)).toBe('loss');
  });

  test('no verdict without enough kept runs, nor without a value', () => {
    expect(says('rate', [0.5, 0.5, 0.5], noise.slice(0, MIN_KEPT - 1))).toBe('not kept');
    expect(says('rate', [NaN, NaN, NaN])).toBe('not measured');
  });

  test('gives the loss as a share: half the throughput and twice the memory are the same loss', () => {
    const [rate, memory] = ([0.5, 2] as const).map((value) =>
      verdictsOf(figures, {
        kept: noise.map((one) => ({ rate: one, memory: one })),
        runs: [{ rate: value, memory: value }],
      }),
    );
    expect(rate?.[0]?.loss).toBeCloseTo(1, 10);
    expect(memory?.[1]?.loss).toBeCloseTo(1, 10);
  });

  test('is wrong about an unchanged product as often as `falseAlarm` says, whatever the distribution', () => {
    // Every order of nine different values, as which of them are the three runs: an exact count, without chance.
    const values = Array.from({ length: MIN_KEPT + RUNS }, (_, index) => 2 ** index);
    let [alarms, orders] = [0, 0];
    for (let a = 0; a < values.length; a += 1) {
      for (let b = a + 1; b < values.length; b += 1) {
        for (let c = b + 1; c < values.length; c += 1) {
          const isRun = (index: number): boolean => index === a || index === b || index === c;
          orders += 1;
          const runs = values.filter((_, index) => isRun(index));
          if (
            says(
              'memory',
              runs,
              values.filter((_, index) => !isRun(index)),
            ) === 'loss'
          )
            alarms += 1;
        }
      }
    }
    expect(alarms / orders).toBeCloseTo(falseAlarm(MIN_KEPT), 12);
    expect(orders).toBe(84);
  });
});
