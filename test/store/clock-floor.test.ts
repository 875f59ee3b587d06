import { describe, expect, it } from '@jest/globals';
import { ClockFloor } from '../../src/store/clock-floor.ts';

const HOUR = 60 * 60 * 1_000;

describe('ClockFloor', () => {
  it.each<[string, number, readonly number[], readonly number[]]>([
    ['runs with the machine', 0, [1, 2, 3], [1, 2, 3]],
    ['stands still through a step back until it is caught up', 0, [100, 40, 99, 101], [100, 100, 100, 101]],
    ['starts from what an earlier process saw', 500, [100, 600], [500, 600]],
    ['holds for a step back of exactly 24 h', 0, [24 * HOUR, 0], [24 * HOUR, 24 * HOUR]],
    ['believes a step back of more than 24 h, and goes on from there', 0, [25 * HOUR, 0, 5, 3], [25 * HOUR, 0, 5, 5]],
  ])('%s', (_name, highest, walls, expected) => {
    const readings = [...walls];
    const clock = new ClockFloor(() => readings.shift() ?? 0, highest);
    expect(walls.map(() => clock.nowMs())).toEqual(expected);
  });
});
