import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { BodyArgument } from '../../../../src/core/action/catalog/catalog-arguments.ts';
import { exactJsonFrom, jsonArguments } from '../../../../src/core/action/arguments/json-arguments.ts';
import { pointerOf, stepsOf } from '../../../../src/core/action/arguments/json-pointer.ts';
import { costRatio } from '../../../costs.ts';

const spec = (type: BodyArgument['type'], more: Partial<BodyArgument> = {}): BodyArgument => ({
  name: 'a',
  from: 'body',
  pointer: ['a'],
  type,
  required: true,
  ...more,
});

function read(json: string, ...specs: readonly BodyArgument[]): unknown {
  const parsed = exactJsonFrom(Buffer.from(json));
  if ('problem' in parsed) return parsed.problem;
  const result = jsonArguments(specs, parsed.value);
  return 'problem' in result ? result.problem : Object.fromEntries(result.args);
}

const argumentOf = (json: object, of: BodyArgument) => jsonArguments([of], json);

/** Each place of a value that a pointer of 1 to 8 steps leads to, with what is there. */
function placesIn(value: unknown, way: readonly string[] = []): readonly (readonly [readonly string[], unknown])[] {
  if (typeof value !== 'object' || value === null || way.length === 8) return way.length === 0 ? [] : [[way, value]];
  const below = Object.entries(value).flatMap(([step, inner]) => placesIn(inner, [...way, step]));
  return way.length === 0 ? below : [[way, value], ...below];
}

describe('jsonArguments', () => {
  const long = spec('long');
  const decimal = spec('decimal');
  const strings = spec('strings');
  const deep = spec('string', { pointer: ['a/b', 'c'] });
  const element = (step: string) => spec('string', { pointer: ['p', step, 't'] });
  it.each<[string, string, BodyArgument, unknown]>([
    ['a string', '{"a":"x"}', spec('string'), { a: 'x' }],
    ['a string that looks like Cedar', '{"a":"{\\"__entity\\":1}"}', spec('string'), { a: '{"__entity":1}' }],
    ['an entity', '{"a":{"__entity":{"type":"Remit::Agent","id":"x"}}}', spec('string'), '`a` must be a string'],
    [
      'an extension value',
      '{"a":{"__extn":{"fn":"decimal","arg":"1.0"}}}',
      decimal,
      '`a` must be a number of at most 4 decimal places within ±922337203685477.5807',
    ],
    ['an entity in a list', '{"a":[{"__entity":{}}]}', strings, '`a` must be a list of which each item is a string'],
    [
      'the shape of a decimal of ours',
      '{"a":{"decimal":"1.0"}}',
      decimal,
      '`a` must be a number of at most 4 decimal places within ±922337203685477.5807',
    ],
    [
      'a string over 4 KiB',
      `{"a":"${'x'.repeat(4097)}"}`,
      spec('string'),
      '`a` must be a string of at most 4096 bytes',
    ],
    ['a bool', '{"a":false}', spec('bool'), { a: false }],
    ['a word for a bool', '{"a":"false"}', spec('bool'), '`a` must be `true` or `false`'],
    ['the largest long', '{"a":9007199254740991}', long, { a: 9_007_199_254_740_991 }],
    ['one more', '{"a":9007199254740992}', long, '`a` must be a safe integer'],
    ['a number that rounds into range', '{"a":9007199254740990.9}', long, '`a` must be a safe integer'],
    ['a fraction that rounds to a whole', '{"a":1.00000000000000000001}', long, '`a` must be a safe integer'],
    ['other spellings of a whole number', '{"a":1.5e1}', long, { a: 15 }],
    ['minus zero', '{"a":-0}', long, { a: 0 }],
    ['a float for a long', '{"a":1.5}', long, '`a` must be a safe integer'],
    ['digits for a long', '{"a":"5"}', long, '`a` must be a safe integer'],
    ['infinity', '{"a":1e999}', long, '`a` must be a safe integer'],
    ['a decimal', '{"a":12.5}', decimal, { a: { decimal: '12.5' } }],
    ['a whole decimal', '{"a":12}', decimal, { a: { decimal: '12.0' } }],
    ['a decimal as text', '{"a":"12.5000"}', decimal, { a: { decimal: '12.5' } }],
    [
      'five places',
      '{"a":0.00001}',
      decimal,
      '`a` must be a number of at most 4 decimal places within ±922337203685477.5807',
    ],
    [
      'a decimal that a double cannot hold',
      '{"a":0.10000000000000000001}',
      decimal,
      '`a` must be a number of at most 4 decimal places within ±922337203685477.5807',
    ],
    [
      'a decimal out of range',
      '{"a":922337203685478}',
      decimal,
      '`a` must be a number of at most 4 decimal places within ±922337203685477.5807',
    ],
    ['strings', '{"a":["x","y"]}', strings, { a: ['x', 'y'] }],
    ['257 strings', `{"a":[${Array(257).fill('""').join()}]}`, strings, '`a` must be a list of at most 256 strings'],
    ['null for a required one', '{"a":null}', long, '`a` is missing'],
    ['null for an optional one', '{"a":null}', spec('long', { required: false }), {}],
    ['nothing', '{}', long, '`a` is missing'],
    ['a pointer with a slash in a name', '{"a/b":{"c":"x"}}', deep, { a: 'x' }],
    ['a way that ends early', '{"a/b":null}', deep, '`a` is missing'],
    ['a way through a string', '{"a/b":"c"}', deep, '`a` is not in an object'],
    ['a way through a list', '{"a/b":[{"c":"x"}]}', deep, '`a` is not in an object'],
    [
      'another member in other case',
      '{"a":1,"A":2}',
      long,
      '`a` cannot be distinguished from a member that is spelt differently',
    ],
    [
      'only a member in other case',
      '{"A":2}',
      spec('long', { required: false }),
      '`a` cannot be distinguished from a member that is spelt differently',
    ],
    [
      'a long s for an s',
      '{"\u017f":1}',
      spec('long', { name: 's', pointer: ['s'] }),
      '`s` cannot be distinguished from a member that is spelt differently',
    ],
    [
      'other case beside an object on the way',
      '{"a/b":{"c":"x","C":"y"}}',
      deep,
      '`a` cannot be distinguished from a member that is spelt differently',
    ],
    ['what nobody asked for', '{"a":1,"b":{"__entity":{}},"n":9007199254740993,"N":1}', long, { a: 1 }],
    ['a member of every object', '{}', spec('string', { pointer: ['constructor', 'name'] }), '`a` is missing'],
    ['the prototype', '{"__proto__":{"a":"x"}}', spec('string'), '`a` is missing'],
    ['a duplicate', '{"a":1,"a":2}', long, 'has a duplicate member name'],
    ['a lone surrogate', '{"a":"\\ud800"}', spec('string'), 'has a lone surrogate in a string'],
    ['U+0000', '{"a":"\\u0000"}', spec('string'), 'has U+0000 in a string'],
    ['33 levels', `{"a":${'['.repeat(33)}${']'.repeat(33)}}`, strings, 'nests deeper than 32'],
    [
      'a large number beside a string that looks like a number',
      '{"9007199254740993":"9007199254740993","a":1e3}',
      long,
      { a: 1000 },
    ],
    [
      'a long number in a string',
      '{"a":"9007199254740993 \\" 1e400"}',
      spec('string'),
      { a: '9007199254740993 " 1e400' },
    ],
    ['no JSON', '{"a":01}', long, 'is not valid JSON'],
    ['a string as long as its `maxBytes`', `{"a":"${'€'.repeat(3)}"}`, spec('string', { maxBytes: 9 }), { a: '€€€' }],
    [
      'a string of a byte more',
      `{"a":"${'€'.repeat(3)}x"}`,
      spec('string', { maxBytes: 9 }),
      '`a` must be a string of at most 9 bytes',
    ],
    [
      'a string of 64 KiB',
      `{"a":"${'x'.repeat(65_536)}"}`,
      spec('string', { maxBytes: 65_536 }),
      { a: 'x'.repeat(65_536) },
    ],
    [
      'a list of a longer string',
      '{"a":["x","xx"]}',
      spec('strings', { maxBytes: 1 }),
      '`a` must be a list of which each item is a string of at most 1 bytes',
    ],
    [
      'strings of more than 64 KiB together',
      `{"a":[${Array(17)
        .fill(`"${'x'.repeat(4096)}"`)
        .join()}]}`,
      strings,
      'the strings are together longer than 65536 bytes',
    ],
    ['an element of an array', '{"p":[{"t":"x"},{"t":"y"}]}', element('1'), { a: 'y' }],
    ['an element beyond the end', '{"p":[{"t":"x"}]}', element('1'), '`a` is missing'],
    ['an element far beyond the end', '{"p":[{"t":"x"}]}', element('9'.repeat(400)), '`a` is missing'],
    [
      'an element of a list of lists',
      '{"p":[["x",["y"]]]}',
      spec('string', { pointer: ['p', '0', '1', '0'] }),
      { a: 'y' },
    ],
    ['the element after the last', '{"p":[{"t":"x"}]}', element('-'), '`a` is not in an object'],
    ['an index with a leading zero', '{"p":[{"t":"x"}]}', element('00'), '`a` is not in an object'],
    ['a negative index', '{"p":[{"t":"x"}]}', element('-1'), '`a` is not in an object'],
    ['an index with a fraction', '{"p":[{"t":"x"}]}', element('0.0'), '`a` is not in an object'],
    [
      'the length of an array',
      '{"p":[{"t":"x"}]}',
      spec('long', { pointer: ['p', 'length'] }),
      '`a` is not in an object',
    ],
    ['a member named like an index', '{"p":{"1":{"t":"x"}}}', element('1'), { a: 'x' }],
  ])('reads %s', (_name, json, argument, expected) => {
    expect(read(json, argument)).toEqual(expected);
  });

  it('returns values of the declared types only, or a problem, for any JSON', () => {
    const specs = (['string', 'long', 'bool', 'decimal', 'strings'] as const).map((type) =>
      spec(type, { name: type, pointer: [type], required: false }),
    );
    const names = fc.constantFrom('string', 'long', 'bool', 'decimal', 'strings', '__entity', '__extn', 'Long');
    const { message } = fc.letrec<{ message: unknown }>((tie) => ({
      message: fc.oneof(
        { maxDepth: 2 },
        fc.jsonValue(),
        fc.double(),
        fc.array(fc.string()),
        fc.dictionary(names, tie('message')),
      ),
    }));
    fc.assert(
      fc.property(fc.dictionary(names, message), (given) => {
        const parsed = exactJsonFrom(Buffer.from(JSON.stringify(given)));
        if ('problem' in parsed) return;
        const result = jsonArguments(specs, parsed.value);
        if ('problem' in result) return;
        for (const [name, value] of result.args) {
          if (name === 'string') expect(typeof value).toBe('string');
          else if (name === 'long') expect(Number.isSafeInteger(value)).toBe(true);
          else if (name === 'bool') expect(typeof value).toBe('boolean');
          else if (name === 'strings') expect(Array.isArray(value)).toBe(true);
          else expect(value).toEqual({ decimal: expect.stringMatching(/^-?\d{1,15}\.\d{1,4}$/) });
        }
      }),
      { numRuns: 300 },
    );
  });

  it('tells a verified caller which argument was refused and what it must be', () => {
    const expected = 'a string of at most 4096 bytes';
    expect(argumentOf({}, spec('string'))).toMatchObject({ argument: { name: 'a', expected } });
    expect(argumentOf({ a: 5 }, spec('string'))).toMatchObject({ argument: { name: 'a', expected: 'a string' } });
    expect(argumentOf({ a: 'xx' }, spec('string', { maxBytes: 1 }))).toMatchObject({
      argument: { name: 'a', expected: 'a string of at most 1 bytes' },
    });
    expect(argumentOf({ 'a/b': 'x' }, spec('string', { pointer: ['a/b', 'c'] }))).toMatchObject({
      argument: { name: 'a', expected: `${expected}, at \`/a~1b/c\` alone` },
    });
  });

  it('reads what is at each place of any JSON, and nothing if a step leads nowhere', () => {
    const { value } = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom('x', 'y', 0, true, null),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(fc.constantFrom('a', 'b', '0', '1', '/', '~', '~1', '__proto__', 'length', '-'), tie('value'), {
          maxKeys: 4,
        }),
      ),
    }));
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom('a', 'b'), value), (given) => {
        for (const [way, there] of placesIn(given)) {
          const pointer = stepsOf(pointerOf(way));
          expect(pointer).toEqual(way);
          const wanted = spec('string', { pointer, required: false });
          const result = jsonArguments([wanted], given);
          if (typeof there === 'string') expect(result).toEqual({ args: new Map([['a', there]]) });
          else if (there === null) expect(result).toEqual({ args: new Map() });
          else expect(result).toMatchObject({ problem: '`a` must be a string' });
          const beyond = Array.isArray(there) ? String(there.length) : 'c';
          if (typeof there !== 'object') continue;
          const nowhere = jsonArguments([spec('string', { pointer: [...way, beyond], required: false })], given);
          expect(nowhere).toEqual({ args: new Map() });
        }
      }),
      { numRuns: 300 },
    );
  });

  it.each<[string, (chars: number) => string]>([
    ['a whole number', (chars) => `1${'0'.repeat(chars)}1`],
    ['a fraction', (chars) => `0.${'0'.repeat(chars)}1`],
    [
      'many numbers',
      (chars) =>
        `[${Array(Math.round(chars / 19))
          .fill('9007199254740993.5')
          .join()}]`,
    ],
  ])('reads %s in time that grows as it does', (_name, worst) => {
    const reading = (chars: number, times: number) => () => {
      const bytes = Buffer.from(`{"b":${worst(chars)}}`);
      for (let n = 0; n < times; n += 1) if (!('value' in exactJsonFrom(bytes))) throw new Error('not read');
    };
    expect(costRatio(reading(64_000, 1), reading(4_000, 16))).toBeLessThan(4);
  });
});

/** A number as integer digits and a power of ten. */
const wholeOf = (text: string): readonly [bigint, number] => {
  const [, mantissa = '', fraction = '', power = '0'] = /^(-?\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(text) ?? [];
  return [BigInt(mantissa + fraction), Number(power) - fraction.length];
};
const isEqual = (one: string, other: string): boolean => {
  const [a, b] = [wholeOf(one), wholeOf(other)];
  const least = Math.min(a[1], b[1]);
  return a[0] * 10n ** BigInt(a[1] - least) === b[0] * 10n ** BigInt(b[1] - least);
};

describe('exactJsonFrom', () => {
  const digits = fc.stringMatching(/^(0|[1-9]\d{0,17})(\.\d{1,18})?$/);
  const exponent = fc.oneof(
    fc.constant(''),
    fc.tuple(fc.constantFrom('e', 'E', 'e+', 'e-'), fc.nat(340)).map(([mark, power]) => `${mark}${power}`),
  );
  const number = fc.tuple(fc.constantFrom('', '-'), digits, exponent).map((parts) => parts.join(''));

  it.each([
    ['15 digits', '900719925474099', 900_719_925_474_099],
    ['16 digits that a double does not hold', '9007199254740993', Number.POSITIVE_INFINITY],
    ['16 digits that it holds', '9007199254740994', 9_007_199_254_740_994],
    ['more than it can be', '1e309', Number.POSITIVE_INFINITY],
    ['less than it can be', '1e-400', Number.POSITIVE_INFINITY],
    ['nothing, in many digits', '0.000e99', 0],
    ['too small for 15 digits', '5e-324', Number.POSITIVE_INFINITY],
    ['the same below zero', '-1e-308', Number.POSITIVE_INFINITY],
    ['just large enough', '1e-307', 1e-307],
  ])('%s', (_name, text, expected) => {
    expect(exactJsonFrom(Buffer.from(`[${text}]`))).toEqual({ value: [expected] });
  });

  it('keeps a number exactly if its double has the same digits', () => {
    fc.assert(
      fc.property(number, (text) => {
        const double = Number(text);
        const isInRange = Number.isFinite(double) && (double === 0 || Math.abs(double) >= 1e-307);
        const isExact = isInRange && isEqual(text, String(double));
        expect(exactJsonFrom(Buffer.from(`[${text}]`))).toEqual({
          value: [isExact ? double : Number.POSITIVE_INFINITY],
        });
      }),
      { numRuns: 2000 },
    );
  });
});
