import { describe, expect, it } from '@jest/globals';
import canonicalize from 'canonicalize';
import * as fc from 'fast-check';
import { canonicalJson } from '../../../src/core/ledger/canonical-json.ts';
import type { JsonValue } from '../../../src/core/ledger/canonical-json.ts';
import { describeWithVectors, vectorBytes, vectorFiles } from '../token/vectors.ts';

describe('canonicalJson', () => {
  it.each<[string, JsonValue, string]>([
    [
      'members by UTF-16 code units',
      { '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\u{1f600}': 5, ö: 6 },
      '{"\\r":2,"1":4,"ö":6,"€":1,"😀":5,"\ufb33":3}',
    ],
    ['nested members', { b: [{ d: 1, c: 2 }], a: {} }, '{"a":{},"b":[{"c":2,"d":1}]}'],
    ['a member named __proto__', JSON.parse('{"__proto__":1,"a":2}') as JsonValue, '{"__proto__":1,"a":2}'],
    ['short escapes and \\u00xx', '\u0000\b\t\n\f\r"\\\u001f\u007f/', '"\\u0000\\b\\t\\n\\f\\r\\"\\\\\\u001f\u007f/"'],
    ['literals', [null, true, false], '[null,true,false]'],
  ])('writes %s', (_name, value, expected) => {
    expect(canonicalJson(value)).toBe(expected);
  });

  // RFC 8785 appendix B.
  it.each<[string, string]>([
    ['0000000000000000', '0'],
    ['8000000000000000', '0'],
    ['0000000000000001', '5e-324'],
    ['8000000000000001', '-5e-324'],
    ['7fefffffffffffff', '1.7976931348623157e+308'],
    ['4340000000000000', '9007199254740992'],
    ['4430000000000000', '295147905179352830000'],
    ['44b52d02c7e14af5', '9.999999999999997e+22'],
    ['44b52d02c7e14af6', '1e+23'],
    ['44b52d02c7e14af7', '1.0000000000000001e+23'],
    ['444b1ae4d6e2ef4e', '999999999999999700000'],
    ['444b1ae4d6e2ef50', '1e+21'],
    ['3eb0c6f7a0b5ed8c', '9.999999999999997e-7'],
    ['3eb0c6f7a0b5ed8d', '0.000001'],
    ['41b3de4355555553', '333333333.3333332'],
    ['becbf647612f3696', '-0.0000033333333333333333'],
    ['43143ff3c1cb0959', '1424953923781206.2'],
  ])('writes the number with bits %s as %s', (bits, expected) => {
    expect(canonicalJson(Buffer.from(bits, 'hex').readDoubleBE())).toBe(expected);
  });

  it.each<[string, JsonValue, string]>([
    ['NaN', Number.NaN, 'a number is not finite'],
    ['Infinity', [Number.POSITIVE_INFINITY], 'a number is not finite'],
    ['a lone surrogate', { a: '\ud800' }, 'a string contains a lone surrogate'],
    ['a lone surrogate in a name', { '\udead': 1 }, 'a string contains a lone surrogate'],
    [
      '65 levels',
      JSON.parse(`${'['.repeat(65)}${']'.repeat(65)}`) as JsonValue,
      'the value is nested deeper than 64 levels',
    ],
  ])('refuses %s', (_name, value, problem) => {
    expect(canonicalJson(value)).toEqual({ problem });
  });

  it('equals the text of the library, for members in any order', () => {
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 3, stringUnit: 'binary' }),
      fc.dictionary(
        fc.constantFrom('a', 'b', '10', '9', '__proto__', 'toJSON', '\u{1f600}', '\ufb33'),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
      ),
    );
    fc.assert(
      fc.property(value, (any) => {
        const text = canonicalize(any);
        expect(canonicalJson(any as JsonValue)).toBe(text);
        expect(canonicalJson(JSON.parse(text ?? '') as JsonValue)).toBe(text);
      }),
    );
  });

  it('refuses what has no canonical form, even behind a member that is out of order', () => {
    expect(canonicalJson({ b: [{ d: 1, c: 2 }], a: ['\ud800'] })).toEqual({
      problem: 'a string contains a lone surrogate',
    });
  });

  it('round-trips: the text parses to the value and has the same text again', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5, stringUnit: 'binary' }), (value) => {
        const text = canonicalJson(value as JsonValue);
        if (typeof text !== 'string') throw new Error(text.problem);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
        expect(canonicalJson(JSON.parse(text) as JsonValue)).toBe(text);
      }),
    );
  });
});

describeWithVectors('canonicalJson on the vectors of RFC 8785', 'jcs', () => {
  it.each(vectorFiles('jcs/input'))('writes %s byte for byte', (name) => {
    const text = canonicalJson(JSON.parse(vectorBytes(`jcs/input/${name}`).toString()) as JsonValue);
    expect(typeof text === 'string' && Buffer.from(text)).toEqual(vectorBytes(`jcs/output/${name}`));
  });
});
