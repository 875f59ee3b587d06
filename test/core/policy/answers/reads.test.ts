import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { freshCedar } from '../../../../src/core/policy/cedar.ts';
import { readsAsLines } from '../../../../src/core/policy/answers/key-reads.ts';
import { readsOf, readsTogether } from '../../../../src/core/policy/answers/reads.ts';
import { mustJson } from '../policies.ts';

const readsIn = (condition: string, head = 'principal, action, resource'): readonly string[] =>
  readsAsLines(readsOf(mustJson(`permit (${head}) when { ${condition} };`)));
const withBody = (body: unknown) => readsAsLines(readsOf({ conditions: [{ kind: 'when', body }] }));

const accessOn = (left: unknown) => ({ '.': { left, attr: 'n' } });
/** The reads of a comparison of the clock with an expression. */
const clockBeside = (right: unknown) =>
  withBody({ '<': { left: { '.': { left: { Var: 'context' }, attr: 'now' } }, right } });

describe('readsOf', () => {
  const rows: readonly (readonly [string, string, readonly string[]])[] = [
    ['nothing', 'true', []],
    ['a name alone, which is in every key', 'principal == A::"x"', []],
    ['a value', 'context.a == "x"', ['context.a']],
    ['a value below', 'context.a.b == "x"', ['context.a.b']],
    ['both sides', 'context.a == context.b', ['context.a', 'context.b']],
    ['an attribute that is no identifier', 'context["a b"].c == ""', ['context["a b"].c']],
    ['the context whole', 'context == {a: 1}', ['context']],
    ['presence', 'context has a', ['has context.a']],
    ['presence further down', 'context has a.b.c', ['has context.a.b.c']],
    ['presence and value', 'context has a && context.a like "x*"', ['context.a']],
    ['attributes of entities', 'principal.tier == resource.tier', ['principal.tier', 'resource.tier']],
    ['an attribute of an entity in the context', 'context.owner.name == "x"', ['context.owner.name']],
    ['an entity in the text', 'A::"x y".n == "x"', ['A::"x y".n']],
    ['what an entity is in', 'context.owner in G::"g"', ['context.owner', 'context.owner in …']],
    ['what a variable is in', 'principal in [G::"g", context.g]', ['context.g', 'principal in …']],
    ['a type', 'context.owner is A', ['context.owner']],
    ['a type in a group', 'resource is A in context.g', ['context.g', 'resource in …']],
    ['a tag', 'resource.hasTag("t") && resource.getTag("t") == ""', ['resource.getTag("t")']],
    ['whether a tag is there', 'resource.hasTag("t")', ['has resource.getTag("t")']],
    ['a computed tag', 'resource.getTag(context.k) == ""', ['context.k', 'resource.getTag(…)']],
    ['whether a computed tag is there', 'resource.hasTag(context.k)', ['context.k', 'resource.getTag(…)']],
    ['an attribute of a computed tag', 'resource.getTag(context.k).a == ""', ['everything']],
    ['what a computed tag is in', 'resource.getTag(context.k) in G::"g"', ['everything']],
    ['an attribute of a tag', 'resource.getTag("t").a == ""', ['resource.getTag("t").a']],
    ['all branches', 'if context.a then context.b else context.c', ['context.a', 'context.b', 'context.c']],
    ['both operands', 'context.a || context.b && context.c', ['context.a', 'context.b', 'context.c']],
    [
      'an access on either branch',
      '(if context.a then principal else context.o).n == ""',
      ['context.a', 'context.o.n', 'principal.n'],
    ],
    [
      'a member of a record, and the others whole',
      '{a: context.r, b: context.s}.a.n == ""',
      ['context.r.n', 'context.s'],
    ],
    ['a record as a value', '{a: context.r} == {a: 1}', ['context.r']],
    ['presence in a record', '{a: context.r} has a.b', ['has context.r.b']],
    ['a set', '[context.a, 1].contains(context.b)', ['context.a', 'context.b']],
    [
      'sets',
      'context.a.containsAll(context.b) && context.c.containsAny(context.d)',
      'abcd'.split('').map((n) => `context.${n}`),
    ],
    ['emptiness', 'context.a.isEmpty()', ['context.a']],
    ['negation', '!context.a && -context.b == 1', ['context.a', 'context.b']],
    ['arithmetic', 'context.a + context.b * 2 - context.c > 0', ['context.a', 'context.b', 'context.c']],
    ['a call', 'ip(context.a).isInRange(ip(context.b))', ['context.a', 'context.b']],
    [
      'a whole number by the numbers it is compared with',
      'context.n > 5 && -3 <= context.n && context.n != 7 && context.n < 5',
      ['context.n against long -3, 5, 7'],
    ],
    ['a number compared with a value', 'context.n > 5 && context.n < context.m', ['context.m', 'context.n']],
    ['a number that a double does not hold', 'context.n > 9007199254740993', ['context.n']],
    [
      'a time by the times it is compared with',
      'context.now < datetime("2026-01-01") || datetime("2026-01-01T00:00:01Z") < context.now',
      ['context.now against datetime 1767225600000, 1767225601000'],
    ],
    ['a time with an offset', 'context.now < datetime("2026-01-01T00:00:00+0100")', ['context.now']],
    ['a time that is computed', 'context.now < datetime("2026-01-01").offset(duration("1h"))', ['context.now']],
    ['the hour of a time', 'context.now.toTime() < duration("1h")', ['context.now']],
    [
      'a decimal by the decimals it is compared with',
      'context.d.lessThan(decimal("1.5")) && context.d.greaterThanOrEqual(decimal("-0.01")) && context.d == decimal("2.0")',
      ['context.d against decimal -100, 15000, 20000'],
    ],
    ['a decimal that is large', 'context.d.greaterThan(decimal("123456789012.0"))', ['context.d']],
    ['decimals', 'context.d.lessThanOrEqual(context.e)', ['context.d', 'context.e']],
    [
      'a branch by what it is compared with',
      '(if context.a then context.n else 3) > 5',
      ['context.a', 'context.n against long 5'],
    ],
    ['a sum that is compared', 'context.n + 1 > 5', ['context.n']],
    ['a truth value that is compared', 'context.a == true', ['context.a']],
    [
      'each order of numbers',
      'context.a >= 1 && context.b <= 2',
      ['context.a against long 1', 'context.b against long 2'],
    ],
    [
      'each order of decimals',
      'context.a.lessThanOrEqual(decimal("1.0")) && context.b.greaterThan(decimal("2.0"))',
      ['context.a against decimal 10000', 'context.b against decimal 20000'],
    ],
    ['the length of a time', 'context.now.durationSince(context.start).toDays() > 1', ['context.now', 'context.start']],
    ['what the action is in', 'action in Action::"high"', ['action in …']],
    [
      'what the presence of a computed tag is in',
      'resource.hasTag(context.k) in G::"g"',
      ['context.k', 'resource.getTag(…)'],
    ],
  ];
  it.each(rows)('finds %s', (_name, condition, lines) => {
    expect(readsIn(condition)).toEqual(lines);
  });

  it.each([
    ['equality', 'principal == A::"x", action, resource == B::"y"', []],
    [
      'groups',
      'principal in A::"x", action in [Action::"a"], resource is B in B::"y"',
      ['action in …', 'principal in …', 'resource in …'],
    ],
    ['types', 'principal is A, action, resource is B', []],
  ])('finds what the scope reads: %s', (_name, head, lines) => {
    expect(readsIn('true', head)).toEqual(lines);
  });

  it('finds the reads of every condition, `unless` as well', () => {
    const json = mustJson('forbid (principal, action, resource) when { context.a } unless { context.b };');
    expect(readsAsLines(readsOf(json))).toEqual(['context.a', 'context.b']);
  });

  it('counts a linked slot with `in` as a read of ancestors', () => {
    const read = freshCedar().templateToJson('permit (principal in ?principal, action, resource == ?resource);');
    if (read.type === 'failure') throw new Error('a template');
    expect(readsAsLines(readsOf(read.json))).toEqual(['principal in …']);
  });

  const context = { Var: 'context' };
  const unknown: readonly (readonly [string, unknown])[] = [
    ['a call that is not known', { sha256: [context] }],
    ['a call whose arguments are no list', { ip: context }],
    ['an operator beside another', { '!': { arg: context }, neg: { arg: context } }],
    ['no operator', {}],
    ['no expression', null],
    ['a text', 'context'],
    ['a variable that is not known', { Var: 'session' }],
    ['a variable without a name', { Var: 1 }],
    ['a slot', { Slot: '?principal' }],
    ['an access without a name', { '.': { left: context } }],
    ['a presence without a name', { has: { left: context } }],
    ['a presence of something else', { has: { left: context, attr: [1] } }],
    ['a presence whose path has something else in it', { has: { left: context, attr: ['a', 1] } }],
    ['a set that is none', { Set: context }],
    ['a record that is none', { Record: 'x' }],
    ['a record that is a number', { Record: 1 }],
    ['a record that is nothing', { Record: null }],
    ['an operand that is not there', { '!': {} }],
    ['an access on what is not there', { '.': { attr: 'a' } }],
    ['an unknown expression inside another', { '&&': { left: { Value: true }, right: { now: [] } } }],
    [
      'an unknown expression in a branch',
      JSON.parse('{"if-then-else":{"if":{"Value":true},"then":{"Value":true},"else":{"x":[]}}}'),
    ],
  ];
  it.each(unknown)('reads everything for %s', (_name, body) => {
    expect(withBody(body)).toEqual(['everything']);
  });

  const known = new Set(
    [
      'Value Var Slot Set Record . has getTag hasTag in is if-then-else like == != < <= > >= + - * && || ! neg',
      'contains containsAll containsAny isEmpty ip isIpv4 isIpv6 isLoopback isMulticast isInRange decimal lessThan',
      'lessThanOrEqual greaterThan greaterThanOrEqual datetime duration offset durationSince toDate toTime',
      'toMilliseconds toSeconds toMinutes toHours toDays',
    ].flatMap((names) => names.split(' ')),
  );

  it('reads everything for an unknown operator at any depth', () => {
    const operator = fc.oneof(fc.string(), fc.constantFrom('toString', 'constructor', '__proto__', 'VAR', 'now', ''));
    const operands = fc.constantFrom<unknown>([], [context], { left: context, right: context }, { arg: context }, null);
    const around: readonly ((inner: unknown) => unknown)[] = [
      (inner) => inner,
      (inner) => ({ '!': { arg: inner } }),
      (inner) => ({ '.': { left: inner, attr: 'a' } }),
      (inner) => ({ has: { left: inner, attr: 'a' } }),
      (inner) => ({ getTag: { left: inner, right: { Value: 't' } } }),
      (inner) => ({ '<': { left: { Value: 1 }, right: inner } }),
      (inner) => ({ Record: { a: inner } }),
      (inner) => ({ Set: [inner] }),
      (inner) => ({ is: { left: context, entity_type: 'A', in: inner } }),
    ];
    fc.assert(
      fc.property(operator, operands, fc.array(fc.constantFrom(...around), { maxLength: 4 }), (name, of, wraps) => {
        fc.pre(!known.has(name));
        const inner: unknown = Object.fromEntries([[name, of]]);
        expect(withBody(wraps.reduce((body, wrap) => wrap(body), inner))).toEqual(['everything']);
      }),
    );
  });

  it('distinguishes entity literals from records that look like them', () => {
    expect(withBody(accessOn({ Value: { __entity: { type: 'A', id: 'x' } } }))).toEqual(['A::"x".n']);
    expect(withBody(accessOn({ Value: { type: 'A', id: 'x' } }))).toEqual([]);
  });

  it('recognises datetimes and decimals only with exactly one argument', () => {
    expect(clockBeside({ datetime: [{ Value: '2026-01-01' }] })).toEqual([
      'context.now against datetime 1767225600000',
    ]);
    expect(clockBeside({ datetime: [{ Value: '2026-01-01' }, { Value: 'x' }] })).toEqual(['context.now']);
  });

  it.each<[string, string, readonly (readonly [string, boolean, boolean])[]]>([
    ['nothing', 'principal, action, resource', []],
    [
      'names',
      'principal == A::"x", action == Action::"a", resource is B',
      [
        ['principal', true, false],
        ['action', true, false],
        ['resource', true, false],
      ],
    ],
    [
      'groups',
      'principal in A::"x", action, resource is B in B::"y"',
      [
        ['principal', true, true],
        ['resource', true, true],
      ],
    ],
  ])('says of a scope with %s what is read of each variable', (_name, head, expected) => {
    const { roots } = readsOf(mustJson(`permit (${head});`));
    expect(Array.from(roots, ([name, path]) => [name, path.whole, path.ancestors])).toEqual(expected);
  });

  it('reads everything if the conditions are missing', () => {
    expect(readsAsLines(readsOf({}))).toEqual(['everything']);
    expect(readsAsLines(readsOf(null))).toEqual(['everything']);
  });
});

const of = (condition: string) => readsOf(mustJson(`permit (principal, action, resource) when { ${condition} };`));

describe('readsTogether', () => {
  it('merges reads, and reads everything if any policy does', () => {
    const all = [
      of('context.a > 1'),
      of('context.a > 2 && context has b'),
      of('context.b == "" && principal.hasTag("t")'),
      of('principal in G::"g" && resource.getTag(context.k) == ""'),
    ];
    expect(readsAsLines(readsTogether(all))).toEqual([
      'context.a against long 1, 2',
      'context.b',
      'context.k',
      'has principal.getTag("t")',
      'principal in …',
      'resource.getTag(…)',
    ]);
    expect(readsAsLines(readsTogether([...all, readsOf(null)]))).toEqual(['everything']);
    expect(readsAsLines(readsTogether([]))).toEqual([]);
  });

  it('does not change its inputs', () => {
    const one = of('context.a > 1');
    readsTogether([one, of('context.a > 2')]);
    expect(readsAsLines(one)).toEqual(['context.a against long 1']);
  });
});
