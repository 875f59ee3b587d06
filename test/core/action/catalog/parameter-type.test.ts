import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { parameterTypeFrom } from '../../../../src/core/action/catalog/parameter-type.ts';
import { must } from '../../../builders/must.ts';

const typeOf = (text: string) => must(parameterTypeFrom(text));
const UUID = '0f8fad5b-d9cb-469f-a165-70867728950e';

describe('parameterTypeFrom', () => {
  it.each<[string, readonly string[], readonly string[]]>([
    ['', ['p-1', 'EXPORT', 'a_b', 'x'.repeat(128)], ['', 'p.1', 'p-1:void', 'a b', 'é', 'a!', 'x'.repeat(129)]],
    ['uuid', [UUID], [UUID.toUpperCase(), UUID.replaceAll('-', ''), `${UUID}0`, `{${UUID}}`, '']],
    ['int', ['0', '7', String(2 ** 53 - 1)], ['01', '-1', '+1', '1.0', '1e3', String(2 ** 53), '', '١']],
    ['text', ['p.1', 'a b', 'é', ':'], ['']],
    ['[a-z0-9-]{1,40}', ['a', 'p-1', 'a'.repeat(40)], ['', 'A', 'a'.repeat(41), 'a.b', 'a\n']],
    ['p-[0-9]{1,10}', ['p-1', 'p-1234567890'], ['p-', 'p-12345678901', 'P-1', 'p-1a']],
    ['[A-Z][a-z]?\\d{2}', ['A12', 'Ab12'], ['A1', 'Abb12', '12', 'A123']],
    [String.raw`[\w.-]{1,64}\:v\d`, ['a.b-c:v1'], ['a.b-c', ':v1', 'a:v']],
  ])('`%s` takes what it says and nothing else', (text, taken, refused) => {
    const { accepts, sample } = typeOf(text);
    expect(taken.filter((segment) => !accepts(segment))).toEqual([]);
    expect(refused.filter(accepts)).toEqual([]);
    expect(accepts(sample)).toBe(true);
  });

  it.each([
    ['guid+', 'must be `uuid`, `int`, `text` or a pattern'],
    ['[a-z]*', 'cannot parse it from `*`'],
    ['[a-z]+', 'cannot parse it from `+`'],
    ['(a|b)', 'cannot parse it from `(a|b)`'],
    ['.{1,3}', 'cannot parse it from `.{1,3}`'],
    ['[a-z]{1,}', 'cannot parse it from `{1,}`'],
    ['^a', 'cannot parse it from `^a`'],
    ['[^a]', 'has `^a` in it, which is not a character or range of a path segment'],
    ['[A-z]', 'has `A-z` in it'],
    ['[a;]', 'has `;` in it'],
    ['[z-a]', 'has `z-a` in it'],
    ['a\\/', 'has `\\/` in it'],
    ['a{3,2}', 'has the invalid count `{3,2}`'],
    ['a{0}', 'has the invalid count `{0}`'],
    ['a?b?', 'accepts an empty segment'],
    ['a{2000}', 'accepts more than 1024 characters'],
    ['ab'.repeat(40), 'has more than 64 parts'],
    ['a'.repeat(300), 'is longer than 256 characters'],
    ['[a-z]{1,8}[a-z0-9]', 'has a part of varying length whose characters can follow it'],
    ['a[a-z]?[0-9]?[x-z]', 'has a part of varying length whose characters can follow it'],
  ])('refuses `%s`', (text, problem) => {
    expect(parameterTypeFrom(text)).toEqual({ problem: expect.stringContaining(problem) });
  });

  it('accepts the same texts as the equivalent regular expression', () => {
    const set = fc.constantFrom('[a-c]', '[0-3]', 'x', '-', '[a-cx]', '\\d', '[A-C0-9-]');
    const count = fc.constantFrom('', '?', '{2}', '{0,2}', '{1,3}');
    const pattern = fc
      .array(fc.tuple(set, count), { minLength: 1, maxLength: 5 })
      .map((parts) => parts.map((part) => part.join('')).join(''));
    const segment = fc
      .array(fc.constantFrom(...'a b c A B x 0 1 2 -'.split(' ')), { maxLength: 8 })
      .map((chars) => chars.join(''));
    let read = 0;
    fc.assert(
      fc.property(pattern, fc.array(segment, { maxLength: 20 }), (text, segments) => {
        const type = parameterTypeFrom(text);
        if ('problem' in type) return;
        read += 1;
        const expression = new RegExp(`^(?:${text})$`);
        for (const each of [...segments, type.sample]) {
          expect([text, each, type.accepts(each)]).toEqual([text, each, expression.test(each)]);
        }
      }),
      { numRuns: 2000 },
    );
    expect(read).toBeGreaterThan(200);
  });

  it.each<[string, string, boolean]>([
    ['', 'export', true],
    ['text', 'export', true],
    ['text', '42', false],
    ['uuid', 'export', false],
    ['int', 'export', false],
    ['[a-z0-9-]{1,40}', 'export', false],
    ['[a-z0-9-]{1,40}', 'Export', true],
    ['[A-Z]{6}', 'export', true],
    ['[a-z]{3}[A-Z]{3}', 'export', true],
    ['[A-Z]{5}', 'export', false],
  ])('`%s` takes another case of `%s`: %s', (text, literal, expected) => {
    expect(typeOf(text).acceptsOtherCase(literal)).toBe(expected);
  });
});
