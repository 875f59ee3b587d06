import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { formFrom } from '../../../src/authority/issuer/form.ts';
import { isOAuthError } from '../../../src/authority/issuer/oauth-error.ts';

const type = 'application/x-www-form-urlencoded';
const parse = (body: string | Uint8Array) => {
  const form = formFrom(typeof body === 'string' ? Buffer.from(body) : body, type);
  return isOAuthError(form) ? form : Object.fromEntries(form);
};

const sorted = (all: readonly (readonly string[])[]) => all.map((pair) => JSON.stringify(pair)).toSorted();

describe('formFrom', () => {
  it.each<[string, string, Record<string, readonly string[]>]>([
    ['pairs', 'a=1&b=2', { a: ['1'], b: ['2'] }],
    ['plus and percent', 'a=x+y%2Bz%20%26', { a: ['x y+z &'] }],
    ['raw UTF-8', 'a=ü', { a: ['ü'] }],
    ['a value with =', 'a=b=c', { a: ['b=c'] }],
    ['repeated names, in order', 'a=1&b=0&a=2', { a: ['1', '2'], b: ['0'] }],
    ['empty values as not sent', 'a=&b&=c&&', { '': ['c'] }],
    ['a name of Object.prototype', 'constructor=1', { constructor: ['1'] }],
  ])('reads %s', (_name, body, expected) => {
    expect(parse(body)).toEqual(expected);
  });

  it.each([
    ['application/x-www-form-urlencoded', true],
    ['Application/X-WWW-Form-Urlencoded ; charset="utf-8"', true],
    ['application/x-www-form-urlencoded; charset=latin1', false],
    ['application/x-www-form-urlencoded2', false],
    ['text/plain', false],
    ['', false],
  ])('takes the content type `%s`: %p', (contentType, isTaken) => {
    expect(isOAuthError(formFrom(Buffer.from('a=1'), contentType))).toBe(!isTaken);
  });

  it('reads back whatever URLSearchParams writes', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1 });
    fc.assert(
      fc.property(fc.array(fc.tuple(text, text), { maxLength: 20 }), (pairs) => {
        const form = formFrom(Buffer.from(new URLSearchParams(pairs.map(([k, v]) => [k, v])).toString()), type);
        const read = isOAuthError(form)
          ? []
          : [...form].flatMap(([name, values]) => values.map((value) => [name, value]));
        expect(sorted(read)).toEqual(sorted(pairs));
      }),
    );
  });

  it('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        formFrom(bytes, type);
      }),
    );
  });
});
