import { describe, expect, it } from '@jest/globals';
import { oauthDeclarationFrom } from '../../../src/agent/task/declaration.ts';
import { secondsFrom } from '../../../src/agent/run/duration.ts';

const entry = (resource: string, constraints?: Record<string, unknown>) => ({
  resource,
  detail: { type: 'urn:remit:task', locations: [resource], actions: ['a.b'], ...(constraints && { constraints }) },
});
const intent = (access: ReturnType<typeof entry>[], expiresInSeconds: number | null = null) => ({
  purpose: 'x',
  access,
  expiresInSeconds,
  keep: [],
  take: [],
});
const plain = { resource: null, ttlSeconds: null, nowMs: 1_000_999 };

describe('declarationFrom', () => {
  it('declares all entries of the only resource', () => {
    const one = entry('https://a.test');
    const two = entry('https://a.test', { max_calls: 2 });
    expect(oauthDeclarationFrom(intent([one, two]), plain)).toEqual({
      resource: 'https://a.test',
      details: [one.detail, two.detail],
    });
  });

  it('requires a choice between several resources, and follows it', () => {
    const both = intent([entry('https://a.test'), entry('https://b.test')]);
    expect(oauthDeclarationFrom(both, plain)).toEqual({
      problem:
        'the intent names 2 resources, but a task is for one: choose it with --resource, or write an intent for each: https://a.test, https://b.test',
    });
    expect(oauthDeclarationFrom(both, { ...plain, resource: 'https://b.test' })).toMatchObject({
      resource: 'https://b.test',
      details: [{ locations: ['https://b.test'] }],
    });
    expect(oauthDeclarationFrom(both, { ...plain, resource: 'https://c.test' })).toEqual({
      problem: 'the intent does not name the resource `https://c.test`; it names https://a.test, https://b.test',
    });
  });

  it.each([
    ['expires_in', 60, null, undefined, 1_060],
    ['--ttl before expires_in', 60, 30, undefined, 1_030],
    ['an earlier `not_after` of the entry', 60, null, { max_calls: 1, not_after: 1_010 }, 1_010],
    ['expires_in before a later `not_after` of the entry', 60, null, { max_calls: 1, not_after: 9_999 }, 1_060],
  ])('ends by %s', (_name, expiresIn, ttlSeconds, constraints, notAfter) => {
    const declared = oauthDeclarationFrom(intent([entry('https://a.test', constraints)], expiresIn), {
      ...plain,
      ttlSeconds,
    });
    expect(declared).toMatchObject({ details: [{ constraints: { ...constraints, not_after: notAfter } }] });
  });
});

describe('secondsFrom', () => {
  it.each([
    ['90', 90],
    ['90s', 90],
    ['15m', 900],
    ['2h', 7_200],
    ['30d', 2_592_000],
    ['31d', null],
    ['0', null],
    ['1.5h', null],
    ['-1', null],
    ['15 m', null],
    ['15M', null],
    ['', null],
    ['s', null],
  ])('takes `%s` for %s', (text, seconds) => {
    expect(secondsFrom(text)).toBe(seconds);
  });
});
