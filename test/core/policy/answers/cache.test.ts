import { hash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { DENIAL_CEILING_MS, DecisionCache, RISK_CEILING_MS } from '../../../../src/core/policy/answers/cache.ts';
import type { FullAnswer } from '../../../../src/core/policy/answers/cache.ts';

const digest = (name: string): string => hash('sha256', name, 'base64url');
const allow: FullAnswer = { decision: 'allow', reason: ['p'], errors: [] };
const denial: FullAnswer = { decision: 'deny', reason: [], errors: [] };
const at = { nowMs: 1000, untilMs: 9000 };
const small = { maxAllows: 2, maxDenials: 1 };

describe('DecisionCache', () => {
  it('returns an answer from the instant it was made until just before its end', () => {
    const cache = new DecisionCache();
    cache.set(digest('k'), allow, at);
    expect([999, 1000, 8999, 9000, Number.NaN].map((nowMs) => cache.get(digest('k'), nowMs))).toEqual([
      null,
      allow,
      allow,
      null,
      null,
    ]);
    expect(cache.get(digest('other'), 1000)).toBeNull();
  });

  it.each([
    ['an end that is past', { nowMs: 1000, untilMs: 999 }],
    ['an end that is now', { nowMs: 1000, untilMs: 1000 }],
    ['no end', { nowMs: 1000, untilMs: Infinity }],
    ['an end that is no number', { nowMs: 1000, untilMs: Number.NaN }],
    ['an instant that is no number', { nowMs: Number.NaN, untilMs: 9000 }],
    ['an instant that is not to be reached', { nowMs: -Infinity, untilMs: 9000 }],
    ['a time of 0 at 0', { nowMs: 0, untilMs: 0 }],
    ['an end of long ago', { nowMs: 1000, untilMs: -Infinity }],
  ])('keeps nothing with %s', (_name, when) => {
    const cache = new DecisionCache();
    cache.set(digest('k'), allow, when);
    cache.set(digest('d'), denial, when);
    expect(cache.sizes).toEqual({ allows: 0, denials: 0 });
  });

  it('caches no answer with errors', () => {
    const cache = new DecisionCache();
    cache.set(digest('a'), { ...allow, errors: ['f'] }, at);
    cache.set(digest('d'), { ...denial, errors: ['f'] }, at);
    expect(cache.sizes).toEqual({ allows: 0, denials: 0 });
    expect(cache.get(digest('a'), 1000)).toBeNull();
  });

  it('caches denials for a short time, in a separate cache', () => {
    const cache = new DecisionCache(small);
    cache.set(digest('d'), denial, { nowMs: 1000, untilMs: 90_000 });
    expect(cache.get(digest('d'), 1000 + DENIAL_CEILING_MS - 1)).toEqual(denial);
    expect(cache.get(digest('d'), 1000 + DENIAL_CEILING_MS)).toBeNull();
    cache.set(digest('e'), denial, { nowMs: 1000, untilMs: 1001 });
    expect(cache.get(digest('e'), 1000)).toEqual(denial);
    expect(cache.get(digest('e'), 1001)).toBeNull();
    cache.set(digest('a'), allow, at);
    cache.set(digest('b'), allow, at);
    for (const key of ['x', 'y', 'z']) cache.set(digest(key), denial, at);
    expect([cache.get(digest('a'), 1000), cache.get(digest('b'), 1000)]).toEqual([allow, allow]);
    expect(cache.sizes).toEqual({ allows: 2, denials: 1 });
  });

  it('caches 4,096 denials, which evict no allow', () => {
    const cache = new DecisionCache();
    cache.set(digest('a'), allow, at);
    for (let index = 0; index < 5000; index += 1) cache.set(digest(`d${index}`), denial, at);
    expect(cache.sizes).toEqual({ allows: 1, denials: 4096 });
    expect(cache.get(digest('a'), 1000)).toEqual(allow);
  });

  it('evicts the least recently used answer', () => {
    const cache = new DecisionCache(small);
    cache.set(digest('a'), allow, at);
    cache.set(digest('b'), allow, at);
    cache.get(digest('a'), 1000);
    cache.set(digest('c'), allow, at);
    expect([cache.get(digest('a'), 1000), cache.get(digest('b'), 1000), cache.get(digest('c'), 1000)]).toEqual([
      allow,
      null,
      allow,
    ]);
  });

  it('replaces the former answer of a key, allow or denial', () => {
    const cache = new DecisionCache();
    cache.set(digest('k'), allow, at);
    cache.set(digest('k'), denial, at);
    expect(cache.get(digest('k'), 1000)).toEqual(denial);
    cache.set(digest('k'), allow, at);
    expect(cache.get(digest('k'), 1000)).toEqual(allow);
    expect(cache.sizes).toEqual({ allows: 1, denials: 0 });
  });

  it('keeps equal answers once', () => {
    const cache = new DecisionCache();
    const answers: readonly FullAnswer[] = [
      allow,
      { ...allow, reason: ['p'] },
      { ...allow, reason: ['p', 'q'] },
      { ...allow, reason: ['p,q'] },
      { ...denial, reason: ['p'] },
      denial,
    ];
    for (const [index, answer] of answers.entries()) cache.set(digest(`${index}`), answer, at);
    const held = answers.map((_answer, index) => cache.get(digest(`${index}`), 1000));
    expect(held).toEqual(answers);
    expect(held[1]).toBe(held[0]);
    expect(new Set(held).size).toBe(5);
  });

  it('keeps an answer once, as long as a question has it', () => {
    const cache = new DecisionCache(small);
    const put = (key: string, reason: string): FullAnswer | null => {
      cache.set(digest(key), { ...allow, reason: [reason] }, at);
      return cache.get(digest(key), 1000);
    };
    const first = put('k', 'p');
    expect(put('l', 'p')).toBe(first);
    // `k` gives way, `l` still has it.
    put('m', 'q');
    expect(cache.get(digest('l'), 1000)).toBe(first);
    expect(put('n', 'p')).toBe(first);
    put('o', 'q');
    put('r', 'q');
    const again = put('k', 'p');
    expect(again).not.toBe(first);
    expect(again).toEqual(first);
    // Replaced by an equal one, and by another.
    expect(put('k', 'p')).toBe(again);
    expect(put('k', 'q')).toEqual({ ...allow, reason: ['q'] });
  });

  it('keeps answers that alternate once', () => {
    const cache = new DecisionCache();
    const turns = [['p'], ['q'], ['p']].map((reason, index) => {
      cache.set(digest(`${index}`), { ...allow, reason }, at);
      return cache.get(digest(`${index}`), 1000);
    });
    expect(turns[2]).toBe(turns[0]);
  });

  it('has a ceiling for each risk, lower if the risk is higher, and a ceiling for denials', () => {
    expect(RISK_CEILING_MS).toEqual({ low: 60_000, medium: 10_000, high: 1_000 });
    expect(DENIAL_CEILING_MS).toBe(5_000);
  });

  it('caches answers with a finite end in the future only, and denials never beyond their ceiling', () => {
    const instant = fc.oneof(
      fc.integer({ min: -20_000, max: 20_000 }),
      fc.double(),
      fc.constantFrom(0, -0, Infinity, -Infinity, Number.NaN),
    );
    fc.assert(
      fc.property(instant, instant, fc.boolean(), fc.boolean(), (nowMs, untilMs, isAllow, errs) => {
        const cache = new DecisionCache(small);
        cache.set(digest('k'), { ...(isAllow ? allow : denial), errors: errs ? ['e'] : [] }, { nowMs, untilMs });
        const isKept = !errs && Number.isFinite(nowMs) && Number.isFinite(untilMs) && nowMs < untilMs;
        // At an instant so large that adding to it has no effect, a denial has no lifetime.
        const hasRoom = isAllow || nowMs + DENIAL_CEILING_MS > nowMs;
        expect(cache.sizes.allows + cache.sizes.denials).toBe(isKept && hasRoom ? 1 : 0);
        expect(cache.get(digest('k'), untilMs)).toBeNull();
        expect(cache.get(digest('k'), Infinity)).toBeNull();
        expect(isAllow ? null : cache.get(digest('k'), nowMs + DENIAL_CEILING_MS)).toBeNull();
      }),
      { numRuns: 2000 },
    );
  });

  it('never returns an answer before its instant, at or after its end, or for another key', () => {
    const instant = fc.oneof(fc.integer({ min: -20, max: 20 }), fc.constantFrom(Infinity, -Infinity, Number.NaN, 0.5));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), instant, instant, instant, fc.boolean())),
        (steps) => {
          const cache = new DecisionCache(small);
          const last = new Map<
            string,
            { readonly answer: FullAnswer; readonly nowMs: number; readonly untilMs: number }
          >();
          for (const [index, [key, nowMs, untilMs, askedMs, isAllow]] of steps.entries()) {
            const answer: FullAnswer = { decision: isAllow ? 'allow' : 'deny', reason: [`${index}`], errors: [] };
            if (Number.isFinite(untilMs) && Number.isFinite(nowMs) && nowMs < untilMs)
              last.set(key, { answer, nowMs, untilMs });
            cache.set(digest(key), answer, { nowMs, untilMs });
            const got = cache.get(digest(key), askedMs);
            const put = last.get(key);
            if (got === null) continue;
            expect(got).toEqual(put?.answer);
            expect(put !== undefined && put.nowMs <= askedMs && askedMs < put.untilMs).toBe(true);
          }
        },
      ),
    );
  });
});
