import { describe, expect, it } from '@jest/globals';
import { latencyOf, median, pairedRatio, slope } from './statistics.ts';

describe('latencyOf', () => {
  it('returns the value that a share of the values does not exceed, in any order', () => {
    const values = Array.from({ length: 1_000 }, (_, index) => 1_000 - index);
    expect(latencyOf(values)).toEqual({ p50Ms: 500, p99Ms: 990, p999Ms: 999 });
  });

  it('returns the only value, and NaN for none', () => {
    expect(latencyOf([7])).toEqual({ p50Ms: 7, p99Ms: 7, p999Ms: 7 });
    expect(latencyOf([]).p50Ms).toBeNaN();
  });
});

describe('median', () => {
  it.each([
    ['of an odd count', [9, 1, 5], 5],
    ['of an even count', [10, 9, 1, 2], 5.5],
    ['of one', [3], 3],
  ])('%s', (_name, values, expected) => {
    expect(median(values)).toBe(expected);
  });

  it('of none is NaN', () => {
    expect(median([])).toBeNaN();
  });
});

describe('slope', () => {
  it.each([
    ['of a line', [1, 3, 5, 7], 2],
    ['of equal values', [4, 4, 4], 0],
    ['of values around a line', [0, 2, 1, 3], 0.8],
  ])('%s', (_name, values, expected) => {
    expect(slope(values.map((y, x) => ({ x, y })))).toBeCloseTo(expected, 9);
  });

  it('of one point is NaN', () => {
    expect(slope([{ x: 1, y: 1 }])).toBeNaN();
  });
});

describe('pairedRatio', () => {
  it('compares within a round, so that a slow round counts for both', () => {
    expect(pairedRatio([100, 10, 300], [50, 5, 150])).toBe(2);
  });

  it('uses the rounds that both have, and is NaN without any', () => {
    expect(pairedRatio([100, 200], [50])).toBe(2);
    expect(pairedRatio([], [1])).toBeNaN();
  });
});
