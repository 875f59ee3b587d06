import { describe, expect, it } from '@jest/globals';
import { durationMs, isAny, shareOf } from '../../../src/tools/doctor/envoy/values.ts';
import { hostDurationMs } from '../../../src/tools/doctor/hosts/duration.ts';

describe('shareOf', () => {
  it.each([
    [{ numerator: 50 }, 0.5],
    [{ numerator: 50, denominator: 'HUNDRED' }, 0.5],
    [{ numerator: 5_000, denominator: 'TEN_THOUSAND' }, 0.5],
    [{ numerator: 1, denominator: 'MILLION' }, 1e-6],
    [{ denominator: 'MILLION' }, 0],
    [undefined, 0],
  ])('of %j is %p', (percent, share) => {
    expect(shareOf(percent)).toBe(share);
  });
});

describe('durations', () => {
  it.each([
    ['0.500s', 500],
    ['15s', 15_000],
    ['0s', 0],
    ['', null],
    ['15', null],
    ['-1s', null],
    ['1m', null],
    ['1s2s', null],
  ])('of Envoy: %j is %p ms', (text, ms) => {
    expect(durationMs(text)).toBe(ms);
  });

  it.each([
    ['0.5s', 500],
    ['500ms', 500],
    ['1m30s', 90_000],
    ['2h', 7_200_000],
    ['1h1m1s1ms', 3_661_001],
    ['', null],
    ['1', null],
    ['1d', null],
    ['s', null],
    ['-1s', null],
    ['1 s', null],
  ])('of hosts: %j is %p ms', (text, ms) => {
    expect(hostDurationMs(text)).toBe(ms);
  });
});

describe('isAny', () => {
  const any = { any: true };
  const path = { url_path: { path: { exact: '/x' } } };
  it.each<[string, unknown, boolean]>([
    ['any', any, true],
    ['what is written as a text', { any: 'true' }, true],
    ['what is not true', { any: 1 }, false],
    ['a path', path, false],
    ['all of which each is any', { and_rules: { rules: [any, any] } }, true],
    ['all rules, with a path among them', { and_rules: { rules: [any, path] } }, false],
    ['all of nothing', { and_rules: { rules: [] } }, false],
    ['some rules, with any among them', { or_ids: { ids: [path, any] } }, true],
    ['some of which none is any', { or_rules: { rules: [path] } }, false],
    ['nothing', null, false],
  ])('of %s', (_name, rule, expected) => {
    expect(isAny(rule)).toBe(expected);
  });

  it('follows no rules without an end', () => {
    let rule: unknown = any;
    for (let depth = 0; depth < 10_000; depth += 1) rule = { or_rules: { rules: [rule] } };
    expect(isAny(rule)).toBe(false);
  });
});
