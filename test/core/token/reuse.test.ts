import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { SpanReference } from '../../../src/core/token/claims.ts';
import {
  MAX_REMEMBERED_USES,
  REUSE_CLASSES,
  rememberedWith,
  reuseClasses,
  mainClass,
} from '../../../src/core/token/reuse.ts';
import type { AllowedUses, Circumstances } from '../../../src/core/token/reuse.ts';
import { useKeyOf } from '../../../src/core/token/use-key.ts';
import { TokenUses } from '../../../src/core/token/uses.ts';
import type { UsesSoFar } from '../../../src/core/token/uses.ts';

const home: Circumstances = {
  traceId: 'a'.repeat(32),
  connection: '10.0.0.1:5000',
  address: '10.0.0.1',
  certificate: 'c',
  server: 'payments',
  risk: 'low',
};
const once = rememberedWith(null, home);
const at = (change: Partial<Circumstances>): Circumstances => ({ ...home, ...change });

const keyOf = (token: string): string => useKeyOf('https://issuer.test', token);

const hex = (length: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`));

describe('reuseClasses', () => {
  it('is `first` if no use was allowed before', () => {
    expect(reuseClasses(null, home)).toEqual(['first']);
  });

  it.each([
    ['the same again', {}, ['same-trace']],
    ['another trace', { traceId: 'b'.repeat(32) }, ['other-trace']],
    ['no trace', { traceId: null }, ['other-trace']],
    ['another port', { connection: '10.0.0.1:5001' }, ['other-connection', 'same-trace']],
    ['another address', { address: '10.0.0.2' }, ['other-node', 'same-trace']],
    ['an address no more', { address: null }, ['other-node', 'same-trace']],
    ['another certificate at the same address', { certificate: 'd' }, ['other-node', 'same-trace']],
    ['another server', { server: 'files' }, ['other-server', 'same-trace']],
    ['another risk', { risk: 'high' }, ['other-class', 'same-trace']],
    ['an action nobody knows', { server: null, risk: null }, ['same-trace']],
  ])('names %s', (_name, change, classes) => {
    expect(reuseClasses(once, at(change))).toEqual(classes);
  });

  it('returns all classes, the most significant first', () => {
    const elsewhere: Circumstances = {
      traceId: 'b'.repeat(32),
      connection: '10.0.0.2:1',
      address: '10.0.0.2',
      certificate: 'd',
      server: 'files',
      risk: 'high',
    };
    const classes = reuseClasses(once, elsewhere);
    expect(classes).toEqual(['other-node', 'other-class', 'other-server', 'other-trace', 'other-connection']);
    expect(mainClass(classes)).toBe('other-node');
  });

  it('recognises a return to earlier circumstances', () => {
    const both = rememberedWith(once, at({ traceId: 'b'.repeat(32), server: 'files', risk: 'high' }));
    expect(reuseClasses(both, home)).toEqual(['same-trace']);
  });

  it('keeps the node of the first use, even after allowed uses elsewhere', () => {
    const elsewhere = at({ address: '10.0.0.2', certificate: 'd' });
    let before: AllowedUses | null = once;
    for (let n = 0; n < 100; n += 1) before = rememberedWith(before, elsewhere);
    expect(reuseClasses(before, elsewhere)).toContain('other-node');
    expect(reuseClasses(before, home)).not.toContain('other-node');
  });

  it('remembers at most `MAX_REMEMBERED_USES`, and treats forgotten values as others', () => {
    const circumstances = fc.record({
      traceId: fc.option(fc.nat(20).map((n) => n.toString(16).padStart(8, '0').repeat(4))),
      connection: fc.option(fc.string()),
      address: fc.option(fc.string()),
      certificate: fc.option(fc.string()),
      server: fc.option(fc.string()),
      risk: fc.option(fc.string()),
    });
    fc.assert(
      fc.property(fc.array(circumstances, { minLength: 1, maxLength: 40 }), circumstances, (uses, next) => {
        let before: AllowedUses | null = null;
        for (const use of uses) before = rememberedWith(before, use);
        const { traces = [], places } = before ?? {};
        const { connections = [], servers = [], risks = [] } = places ?? {};
        for (const list of [[...traces], [...connections], [...servers], [...risks]] as (string | number)[][]) {
          expect(list.length).toBeLessThanOrEqual(MAX_REMEMBERED_USES);
          expect(new Set(list).size).toBe(list.length);
        }
        const classes = reuseClasses(before, next);
        const unseen = !uses.some((use) => use.traceId === next.traceId) || next.traceId === null;
        expect(!unseen || classes.includes('other-trace')).toBe(true);
        expect(classes.filter((name) => name === 'same-trace' || name === 'other-trace')).toHaveLength(1);
        expect(classes).toEqual(REUSE_CLASSES.filter((name) => classes.includes(name)));
      }),
    );
  });
});

describe('mainClass', () => {
  it.each([
    ['nothing of none', [], null],
    ['a thief before everything', ['first', 'other-identity'], 'other-identity'],
    ['the end before the place', ['same-trace', 'other-connection', 'after-end'], 'after-end'],
    ['another trace before another connection', ['other-connection', 'other-trace'], 'other-trace'],
  ] as const)('says %s', (_name, classes, main) => {
    expect(mainClass(classes)).toBe(main);
  });
});

describe('TokenUses', () => {
  it('remembers no circumstances of denied uses', () => {
    const uses = new TokenUses(10);
    const first = uses.next(keyOf('token'), home);
    uses.allowed(keyOf('token'), first);
    const thief = at({ connection: '10.6.6.6:1', address: '10.6.6.6', traceId: 'e'.repeat(32) });
    const tried = uses.next(keyOf('token'), thief);
    const again = uses.next(keyOf('token'), thief);
    expect([first.reuse, tried.reuse]).toEqual([['first'], ['other-node', 'other-trace', 'other-connection']]);
    expect(again.reuse).toEqual(tried.reuse);
    expect([first.use, tried.use, again.use]).toEqual([1, 2, 3]);
  });

  it('still classifies a use after a denied use as `first`', () => {
    const uses = new TokenUses(10);
    uses.next(keyOf('token'), at({ address: '10.6.6.6' }));
    const own = uses.next(keyOf('token'), home);
    uses.allowed(keyOf('token'), own);
    expect([own.use, own.reuse]).toEqual([2, ['first']]);
    expect(uses.next(keyOf('token'), home).reuse).toEqual(['same-trace']);
  });

  it('links a use with the use before, for any spans', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ traceId: hex(32), spanId: hex(16) }), { minLength: 1, maxLength: 5 }),
        (spans) => {
          const uses = new TokenUses(10);
          const previous = spans.map((span) => {
            const use = uses.next(keyOf('token'), home);
            uses.traced(keyOf('token'), { ...span, more: 'a' } as SpanReference);
            return use.previous;
          });
          expect(previous).toEqual([null, ...spans.slice(0, -1)]);
        },
      ),
    );
  });

  it('evicts the least recently used token at its limit', () => {
    const uses = new TokenUses(1);
    uses.allowed(keyOf('a'), uses.next(keyOf('a'), home));
    uses.next(keyOf('b'), home);
    expect(uses.next(keyOf('a'), home)).toMatchObject({ use: 1, previous: null, reuse: ['first'] });
  });

  const span = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) };
  const reported = (change: Partial<UsesSoFar> = {}): UsesSoFar => ({ uses: 4, last: span, allowed: once, ...change });

  it('compares the first use here with those that other sidecars have reported', () => {
    const uses = new TokenUses(10);
    const thief = at({ address: '10.6.6.6', connection: '10.6.6.6:1', certificate: 'd' });
    const first = uses.next(keyOf('token'), thief, () => reported());
    expect(first).toMatchObject({ use: 5, previous: span, isTold: true });
    expect(first.reuse).toEqual(['other-node', 'other-connection', 'same-trace']);
    uses.allowed(keyOf('token'), first);
    // The node stays that of the first use anywhere.
    expect(uses.next(keyOf('token'), thief, () => reported({ uses: 99 }))).toMatchObject({
      use: 6,
      isTold: false,
      reuse: ['other-node', 'same-trace'],
    });
  });

  it('asks again until the reports of other sidecars are known, and counts what it has seen meanwhile', () => {
    const uses = new TokenUses(10);
    expect(uses.next(keyOf('token'), home, () => undefined)).toMatchObject({ use: 1, isTold: false, reuse: [] });
    expect(uses.next(keyOf('token'), home, () => reported())).toMatchObject({
      use: 6,
      isTold: true,
      reuse: ['same-trace'],
    });
    expect(uses.next(keyOf('other'), home, () => null)).toMatchObject({ use: 1, isTold: false });
    expect(uses.next(keyOf('other'), home, () => reported())).toMatchObject({ use: 2, isTold: false });
  });

  it('keeps the last of more traces than it has room for, and nothing of them with another token', () => {
    const uses = new TokenUses(10);
    const traces = Array.from({ length: MAX_REMEMBERED_USES + 3 }, (_trace, index) => index);
    uses.next(keyOf('other'), home, () => reported({ allowed: { ...once, traces: [7] } }));
    uses.next(keyOf('token'), home, () => reported({ allowed: { ...once, traces } }));
    uses.next(keyOf('next'), home, () => reported({ allowed: { ...once, traces: [9] } }));
    uses.next(keyOf('token'), home, () => reported());
    expect(['other', 'token', 'next'].map((name) => uses.soFar(keyOf(name))?.allowed?.traces)).toEqual([
      [7],
      traces.slice(-MAX_REMEMBERED_USES),
      [9],
    ]);
  });

  it('knows nothing of a token that has given way, when it comes again', () => {
    const uses = new TokenUses(2);
    for (const name of ['a', 'b', 'c', 'a']) {
      const use = uses.next(keyOf(name), home);
      expect(use).toMatchObject({ use: 1, previous: null, reuse: ['first'] });
      expect(uses.soFar(keyOf(name))).toEqual({ uses: 1, last: null, allowed: null });
      uses.traced(keyOf(name), span);
      uses.allowed(keyOf(name), use);
    }
    expect(uses.soFar(keyOf('b'))).toBeNull();
  });

  it('counts more than fit into 32 bits, as others may tell', () => {
    const uses = new TokenUses(1);
    expect(uses.next(keyOf('token'), home, () => reported({ uses: 2 ** 48 })).use).toBe(2 ** 48 + 1);
    expect(uses.next(keyOf('token'), home).use).toBe(2 ** 48 + 2);
  });

  it('says what it knows of a token, and whether a use was at a new place', () => {
    const uses = new TokenUses(10);
    expect(uses.soFar(keyOf('token'))).toBeNull();
    const first = uses.next(keyOf('token'), home);
    uses.traced(keyOf('token'), span);
    expect(uses.soFar(keyOf('token'))).toEqual({ uses: 1, last: span, allowed: null });
    expect(uses.allowed(keyOf('token'), first)).toBe(true);
    expect(uses.soFar(keyOf('token'))).toEqual({ uses: 1, last: span, allowed: once });
    expect(
      uses.allowed(keyOf('token'), uses.next(keyOf('token'), at({ connection: 'c', traceId: 'c'.repeat(32) }))),
    ).toBe(false);
    expect(uses.allowed(keyOf('token'), uses.next(keyOf('token'), at({ server: 'files' })))).toBe(true);
    expect(uses.allowed(keyOf('token'), uses.next(keyOf('token'), at({ risk: 'high' })))).toBe(true);
  });
});
