import { describe, expect, it } from '@jest/globals';
import { instantFrom, withInstants } from '../../../src/cli/task/instant.ts';

const NOW = 1_767_225_600_000;

describe('instantFrom', () => {
  it.each([
    ['2026-01-01T00:00:00Z', NOW],
    ['2026-01-01T01:00:00.5+01:00', NOW + 500],
    ['2026-01-01T00:00Z', NOW],
    ['2026-01-01', NOW],
    ['-90s', NOW - 90_000],
    ['-15m', NOW - 900_000],
    ['2h', NOW - 7_200_000],
    ['-7d', NOW - 604_800_000],
    ['2026-01-01T00:00:00', null],
    ['2026-02-31x', null],
    ['2026-13-01', null],
    ['2026-02-29', null],
    ['2024-02-29', 1_709_164_800_000],
    ['2026-04-31T00:00:00Z', null],
    ['2026-01-01T00:00:00-25:00', null],
    ['999999999d', null],
    ['yesterday', null],
    ['-2y', null],
    ['', null],
  ])('reads %j', (text, instant) => {
    expect(instantFrom(text, NOW)).toBe(instant);
  });
});

describe('withInstants', () => {
  it('joins an instant that begins with a dash to its option, and nothing else', () => {
    const args = ['--since', '-2h', '--task', '-2h', '--until', '-x', '--since=-1h', '-2h'];
    expect(withInstants(args, ['--since', '--until'])).toEqual([
      '--since=-2h',
      '--task',
      '-2h',
      '--until',
      '-x',
      '--since=-1h',
      '-2h',
    ]);
  });
});
