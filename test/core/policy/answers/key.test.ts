import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { encoded } from '../../../../src/core/policy/answers/encoding.ts';
import { exactJson } from '../../../../src/tools/policy/eval/exact-json.ts';
import { keyFunction } from '../../../../src/core/policy/answers/key.ts';
import type { SlicePart } from '../../../../src/core/policy/answers/key.ts';
import { readsTogether } from '../../../../src/core/policy/answers/reads.ts';
import { datetime, decimal, entity, question, user } from './keyed.ts';
import { policyFrom } from '../policies.ts';

const when = (condition: string) => policyFrom('p', `permit (principal, action, resource) when { ${condition} };`);
const keysOf = (condition: string, at = { generation: 'g', slice: '0' }) =>
  keyFunction(readsTogether([when(condition).reads]), at);
const secondText = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;
const keyAt = (now: string, condition: string) => keysOf(condition)(question({ now: datetime(now) }))?.key;

describe('keyFunction', () => {
  const read = 'context has a && context.a == context.b.c && context.n > 5 && context.o in User::"x" && context has p';
  const same: readonly (readonly [string, unknown, unknown])[] = [
    ['what no policy reads', { a: 1, z: 1 }, { a: 1, z: 2, y: 0 }],
    ['below what is read', { b: { c: 1, d: 1 } }, { b: { c: 1, d: 2 } }],
    ['the order of members', { a: 1, b: { c: 2 } }, { b: { c: 2 }, a: 1 }],
    ['the order of a set, and how often it has an element', { a: ['x', 'y'] }, { a: ['y', 'x', 'y'] }],
    ['a number on the same side', { n: 6 }, { n: 600 }],
    ['a value if only its presence is read', { p: 1 }, { p: [2] }],
    ['a member that is not there', { a: 1 }, { a: 1, b: undefined }],
  ];
  it.each(same)('is equal for questions that differ in %s', (_name, one, other) => {
    const keyOf = keysOf(read);
    expect(keyOf(question(one))).toEqual(keyOf(question(other)));
    expect(keyOf(question(one))).not.toBeNull();
  });

  const different: readonly (readonly [string, unknown, unknown])[] = [
    ['a value', { a: 1 }, { a: 2 }],
    ['the type of a value', { a: 1 }, { a: '1' }],
    ['presence', { a: false }, {}],
    ['an empty value and none', { a: '' }, {}],
    ['an empty set and an empty record', { a: [] }, { a: {} }],
    ['how values are nested', { a: [['x'], 'y'] }, { a: [['x', 'y']] }],
    ['the end of a text', { a: ['ab', 'c'] }, { a: ['a', 'bc'] }],
    ['a name and a value', { a: { x: 'y' } }, { a: { y: 'x' } }],
    ['the side of a number', { n: 5 }, { n: 6 }],
    ['a number that is the bound', { n: 4 }, { n: 5 }],
    ['the type of a number', { n: 6 }, { n: '6' }],
    ['a number and a decimal', { n: 6 }, { n: decimal('6.0') }],
    ['a presence alone', { p: 1 }, {}],
    ['an entity', { o: entity('alice') }, { o: entity('bob') }],
    ['an entity and its name', { a: entity('alice') }, { a: user('alice') }],
    ['a record that is none', { b: 'x' }, { b: {} }],
    ['what is no record', { b: 'x' }, { b: 'y' }],
    ['a number below and what is no number', { n: 3 }, { n: 'x' }],
    ['a number within and an absent number', { n: 3 }, {}],
    ['the sign of a number of 64 bits', { n: exactJson('9007199254740993') }, { n: exactJson('-9007199254740993') }],
    ['a record and an extension', { b: {} }, { b: decimal('1.0') }],
    ['a record and the short form of an extension', { b: {} }, { b: { fn: 'decimal', arg: '1.0' } }],
    ['a record and a number of 64 bits', { b: {} }, { b: exactJson('9007199254740993') }],
    [
      'a number of 64 bits and the record it looks like',
      { a: exactJson('9007199254740993') },
      { a: { rawJSON: '9007199254740993' } },
    ],
    [
      'the last digit of a number of 64 bits',
      { a: exactJson('9007199254740993') },
      { a: exactJson('9007199254740992') },
    ],
    ['the whole context', null, {}],
  ];
  it.each(different)('differs for questions that differ in %s', (_name, one, other) => {
    const keyOf = keysOf(read);
    expect(keyOf(question(one))).not.toEqual(keyOf(question(other)));
  });

  const reading: readonly (readonly [string, string, unknown, unknown])[] = [
    ['which of two values is absent', 'context.a == context.b', { a: 1 }, { b: 1 }],
    ['which of two values is there', 'context has a && context has b', { a: 1 }, { b: 1 }],
    [
      'times with an offset, on either side',
      'context.t < datetime("2026-01-01")',
      { t: datetime('2025-01-01T00:00:00+0100') },
      { t: datetime('2027-01-01T00:00:00+0100') },
    ],
    [
      'decimals of twelve digits, on either side',
      'context.d.lessThan(decimal("1.5"))',
      { d: decimal('123456789012.0') },
      { d: decimal('-123456789012.0') },
    ],
    [
      'a decimal and another extension with the same argument',
      'context.d.lessThan(decimal("1.5"))',
      { d: decimal('1.6') },
      { d: { __extn: { fn: 'ip', arg: '1.6' } } },
    ],
    ['a decimal that is the bound', 'context.d.lessThan(decimal("1.5"))', { d: decimal('1.5') }, { d: decimal('1.6') }],
  ];
  it.each(reading)('differs for questions that differ in %s', (_name, condition, left, right) => {
    const keyOf = keysOf(condition);
    expect(keyOf(question(left))).not.toEqual(keyOf(question(right)));
  });

  it.each([
    ['a decimal on the same side', 'context.d.lessThan(decimal("1.5"))', { d: decimal('1.6') }, { d: decimal('99.0') }],
    [
      'a time on the same side',
      'context.t < datetime("2026-01-01")',
      { t: datetime('2027-01-01') },
      { t: datetime('2028-01-01') },
    ],
  ])('is the same for questions that differ in %s', (_name, condition, left, right) => {
    const keyOf = keysOf(condition);
    expect(keyOf(question(left))).toEqual(keyOf(question(right)));
  });

  it('is equal in whatever order policies read values', () => {
    const asked = question({ a: 0, b: 2, c: 4 });
    const orders = [
      'context.a == 1 && context.b == 2 && context.c == 3',
      'context.c == 3 && context.b == 2 && context.a == 1',
      'context.b == 2 && context.c == 3 && context.a == 1',
    ].map((condition) => keysOf(condition)(asked)?.key);
    expect(new Set(orders).size).toBe(1);
  });

  it('is equal with and without a memoised prefix', () => {
    const kept: string[] = [];
    const prefix = (_part: SlicePart, make: () => string): string => (kept[0] ??= make());
    const keyOf = keysOf('context.a == 1 && principal in User::"x"');
    const first = keyOf(question({ a: 1 }, { prefix }));
    expect(first).toEqual(keyOf(question({ a: 1 })));
    expect(keyOf(question({ a: 2 }, { prefix }))).toEqual(keyOf(question({ a: 2 })));
    // The memo is responsible for the names: they are not read again.
    expect(keyOf(question({ a: 1 }, { prefix, principal: user('bob') }))).toEqual(first);
  });

  it('differs for other names, and for other ancestors if those are read', () => {
    const word = fc.constantFrom('', 'a', 'b', 'ab', 'a b', 's1:a', 'l1:', 'User', 'User a');
    const name = fc.record({ type: word, id: word });
    const names = fc.record({ principal: name, action: name, resource: name });
    const groups = fc.dictionary(fc.constantFrom('a', 'b', 'ab'), fc.uniqueArray(word, { maxLength: 3 }));
    const one = fc.record({ names, groups });
    const similar = fc.oneof(
      fc.tuple(one, one),
      fc.tuple(one, names).map(([first, other]) => [first, { ...first, names: other }] as const),
      fc.tuple(one, groups).map(([first, other]) => [first, { ...first, groups: other }] as const),
      one.map((first) => [first, first] as const),
    );
    type One = typeof one extends fc.Arbitrary<infer T> ? T : never;
    const heads = [
      ['principal', keysOf('principal in User::"x"')],
      ['action', keysOf('action in Action::"x"')],
      ['resource', keysOf('resource in File::"x"')],
      [null, keysOf('true')],
    ] as const;
    fc.assert(
      fc.property(fc.constantFrom(...heads), similar, ([asked, keyOf], [left, right]) => {
        const inOf = ({ names: { [asked ?? 'principal']: uid }, groups: held }: One) =>
          asked === null ? [] : (held[uid.id] ?? []).toSorted();
        const isEqual = JSON.stringify([left.names, inOf(left)]) === JSON.stringify([right.names, inOf(right)]);
        const keyed = ({ names: uids, groups: held }: One) =>
          keyOf(question({}, { ...uids, lineageOf: ({ id }) => held[id] ?? [] }))?.key;
        expect(keyed(left) === keyed(right)).toBe(isEqual);
      }),
      { numRuns: 2000 },
    );
  });

  it('differs between an absent value and every value', () => {
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom<unknown>(
        datetime('2026-01-01'),
        decimal('1.0'),
        entity('alice'),
        'a',
        'o',
        'p',
        'l0:',
        '',
        0,
        {},
      ),
    );
    const conditions = [
      'context has v',
      'context.v == context.w',
      'context.v > 5',
      'context.v < datetime("2026-01-01")',
      'context.v.lessThan(decimal("1.0"))',
      'context.v.x == 1',
      'context.v has x',
      'context.v in User::"x"',
      'context.v.hasTag("x")',
      'context == {}',
    ].map((condition) => keysOf(condition));
    fc.assert(
      fc.property(fc.constantFrom(...conditions), value, (keyOf, v) => {
        const absent = keyOf(question({ u: 1 }))?.key;
        expect(absent).toBeDefined();
        expect(keyOf(question({ u: 1, v }))?.key).not.toBe(absent);
        expect(keyOf(question({ u: 1, v: undefined }))?.key).toBe(absent);
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['principal', { principal: user('bob') }],
    ['the type of the principal', { principal: { type: 'Robot', id: 'alice' } }],
    ['action', { action: { type: 'Action', id: 'b' } }],
    ['resource', { resource: { type: 'File', id: 'g' } }],
    ['the end of a type', { principal: { type: 'U', id: 'ser alice' } }],
  ])('is another for another %s', (_name, names) => {
    const keyOf = keysOf('true');
    expect(keyOf(question({}, names))).not.toEqual(keyOf(question({})));
  });

  it('differs between generations and between slices', () => {
    const keys = [
      keysOf('true')(question({})),
      keysOf('true', { generation: 'h', slice: '0' })(question({})),
      keysOf('true', { generation: 'g', slice: '1' })(question({})),
      keysOf('true', { generation: 'g0', slice: '' })(question({})),
    ];
    expect(new Set(keys.map((key) => key?.key)).size).toBe(4);
  });

  it('includes the ancestors of an entity if they are read', () => {
    const moved = { lineageOf: () => ['User alice', 'Group moved'] };
    const renamed = { lineageOf: () => ['Group payers', 'User alice'] };
    const asks = keysOf('principal in Group::"x"');
    expect(asks(question({}, moved))).not.toEqual(asks(question({})));
    expect(asks(question({}, renamed))).toEqual(asks(question({})));
    const asksNot = keysOf('principal == User::"x"');
    expect(asksNot(question({}, moved))).toEqual(asksNot(question({})));
    const below = keysOf('context.o in Group::"x"');
    expect(below(question({ o: entity('alice') }, moved))).not.toEqual(below(question({ o: entity('alice') })));
  });

  it('includes everything if a policy may read anything', () => {
    const keyOf = keyFunction({ everything: true, roots: new Map() }, { generation: 'g', slice: '0' });
    expect(keyOf(question({ z: 1 }))).not.toEqual(keyOf(question({ z: 2 })));
    const moved = { lineageOf: () => ['User alice', 'Group moved'] };
    expect(keyOf(question({}, moved))).not.toEqual(keyOf(question({})));
  });

  it('has a fixed length', () => {
    expect(keysOf('context.a == ""')(question({ a: 'x'.repeat(100_000) }))?.key).toMatch(/^[\w-]{43}$/);
  });

  it.each([
    ['a value', keysOf('context.a == ""'), question({ a: '\ud800' })],
    ['a name', keysOf('true'), question({}, { principal: user('\udc00') })],
  ])('is none for a lone surrogate in %s', (_name, keyOf, asked) => {
    expect(keyOf(asked)).toBeNull();
  });

  describe('until', () => {
    const clock = 'context.now < datetime("2026-01-01") || context.now > datetime("2026-03-01")';
    const end = (now: unknown, condition = clock) => keysOf(condition)(question({ now }))?.untilMs;
    it.each([
      ['before the first', datetime('2025-12-31T23:59:59Z'), Date.UTC(2026, 0, 1)],
      ['at the first', datetime('2026-01-01T00:00:00Z'), Date.UTC(2026, 2, 1)],
      ['between', datetime('2026-02-01'), Date.UTC(2026, 2, 1)],
      ['after the last', datetime('2026-03-01T00:00:01Z'), Infinity],
      ['if there is no time', undefined, Infinity],
    ])('is the next time of a policy: %s', (_name, now, until) => {
      expect(end(now)).toBe(until);
    });

    it('is the next bound of the clock', () => {
      const second = fc.integer({ min: 0, max: 40 }).map((at) => Date.UTC(2026, 0, 1) + at * 1000);
      fc.assert(
        fc.property(fc.uniqueArray(second, { minLength: 1, maxLength: 5 }), second, second, (times, left, right) => {
          const condition = times.map((time) => `context.now < datetime("${secondText(time)}")`).join(' || ');
          const [one, other] = [left, right].map((ms) =>
            keysOf(condition)(question({ now: datetime(secondText(ms)) })),
          );
          const side = (ms: number): readonly number[] => times.map((time) => Math.sign(ms - time));
          expect(one?.key === other?.key).toBe(side(left).join(' ') === side(right).join(' '));
          expect(one?.untilMs).toBe(Math.min(Infinity, ...times.filter((time) => time > left)));
        }),
      );
    });

    it('depends on the clock only, not on other datetimes', () => {
      const other = 'context.a < datetime("2025-06-01")';
      expect(end(datetime('2025-01-01'), other)).toBe(Infinity);
      expect(end(datetime('2025-01-01'), `${other} || context.now < datetime("2026-01-01")`)).toBe(Date.UTC(2026, 0));
    });

    it('is infinite if the clock is not read, or read as a whole', () => {
      expect(end(datetime('2025-01-01'), 'context.x == 1')).toBe(Infinity);
      expect(end(datetime('2025-01-01'), 'context.now == context.x')).toBe(Infinity);
    });

    it('leaves the key equal between two bounds, and different per second if the clock is read as a whole', () => {
      expect(keyAt('2026-02-01T00:00:00Z', clock)).toBe(keyAt('2026-02-01T00:00:01Z', clock));
      expect(keyAt('2026-02-01T00:00:00Z', clock)).not.toBe(keyAt('2026-01-01T00:00:00Z', clock));
      const hour = 'context.now.toTime() > duration("9h")';
      expect(keyAt('2026-02-01T00:00:00Z', hour)).not.toBe(keyAt('2026-02-01T00:00:01Z', hour));
      expect(keyAt('2026-02-01T00:00:00Z', 'true')).toBe(keyAt('2027-02-01T00:00:01Z', 'true'));
    });
  });
});

describe('encoded', () => {
  const json = fc.jsonValue({ maxDepth: 4 }).filter((value) => value !== null);
  const sorted = (value: unknown): unknown => {
    if (Array.isArray(value)) {
      const items = value.map((item) => JSON.stringify(sorted(item))).sort();
      return [...new Set(items)].map((item): unknown => JSON.parse(item));
    }
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([k, v]) => [k, sorted(v)]),
    );
  };

  it('is equal exactly for values that are equal as Cedar compares them', () => {
    fc.assert(
      fc.property(json, json, (one, other) => {
        const isEqual = JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
        expect(encoded(one) === encoded(other)).toBe(isEqual);
        expect(encoded(sorted(one))).toBe(encoded(one));
      }),
      { numRuns: 2000 },
    );
  });
});
