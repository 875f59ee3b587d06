import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { isProblem } from '../../../../src/core/runtime/problem.ts';
import { MAX_JSON_DEPTH, strictJsonFrom } from '../../../../src/core/token/jose/strict-json.ts';
import { describeWithVectors, vectorBytes, vectorFiles } from '../vectors.ts';

const read = (text: string) => strictJsonFrom(Buffer.from(text));

describe('strictJsonFrom', () => {
  it.each([
    ['duplicate members', '{"a":1,"a":1}', 'has a duplicate member name'],
    ['duplicate members in another spelling', '{"a":1,"\\u0061":1}', 'has a duplicate member name'],
    ['duplicate members after an object', '{"a":{"b":1},"a":1}', 'has a duplicate member name'],
    ['duplicate members in an array', '[{"a":1 , "a" :2}]', 'has a duplicate member name'],
    ['a duplicate of a later member', '{"a":1,"b":1,"c":1,"b":1}', 'has a duplicate member name'],
    ['a duplicate of the first of three', '{"a":1,"b":1,"a":1}', 'has a duplicate member name'],
    ['duplicate empty names', '{"":1,"":2}', 'has a duplicate member name'],
    ['duplicate __proto__', '{"__proto__":1,"__proto__":2}', 'has a duplicate member name'],
    ['U+0000 in a value', '["a\\u0000"]', 'has U+0000 in a string'],
    ['U+0000 in a name', '{"\\u0000":1}', 'has U+0000 in a string'],
    ['a lone surrogate', '["\\ud800"]', 'has a lone surrogate in a string'],
    ['a byte order mark', '\u{feff}{}', 'is not valid JSON'],
    ['nothing', '', 'is not valid JSON'],
    ['trailing text', '{} x', 'is not valid JSON'],
    ['depth', '['.repeat(MAX_JSON_DEPTH + 1) + ']'.repeat(MAX_JSON_DEPTH + 1), `nests deeper than ${MAX_JSON_DEPTH}`],
  ])('refuses %s', (_name, text, problem) => {
    expect(read(text)).toEqual({ problem });
  });

  it.each([
    ['the same name in two objects', '[{"a":1},{"a":2}]'],
    ['the same name within itself', '{"a":{"a":{"a":1}}}'],
    ['a value equal to a name', '{"a":"a","b":["a","a"]}'],
    ['a name that ends in a backslash', '{"a\\\\":"\\\\","a\\"":"{"}'],
    ['a value that looks like a name', '{"a":"\\"a\\":1,"}'],
    ['the deepest nesting', '['.repeat(MAX_JSON_DEPTH) + ']'.repeat(MAX_JSON_DEPTH)],
  ])('accepts %s', (_name, text) => {
    expect(read(text)).toEqual({ value: JSON.parse(text) });
  });

  it('agrees with JSON.parse for all output of JSON.stringify', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 8 }), fc.nat(3), (value, space) => {
        const text = JSON.stringify(value, null, space);
        const answer = read(text);
        if (isProblem(answer)) return /\\u(0000|d[89a-f])/.test(text);
        expect(answer.value).toEqual(JSON.parse(text));
        return true;
      }),
    );
  });

  // A set for each of the 21,000 objects that 64 KiB hold cost 9 ms, more than everything else together.
  it.each([
    ['no members', '{}', 0],
    ['one member', '{"a":{"b":[{}]}}', 0],
    ['two members', '{"a":1,"b":2}', 1000],
  ])('makes a set only if an object has two members: %s', (_name, object, expected) => {
    const text = `[${Array.from({ length: 1000 }, () => object).join(',')}]`;
    const Original = globalThis.Set;
    let made = 0;
    globalThis.Set = class<T> extends Original<T> {
      constructor(values?: Iterable<T> | null) {
        super(values);
        made += 1;
      }
    };
    try {
      expect('value' in read(text)).toBe(true);
    } finally {
      globalThis.Set = Original;
    }
    expect(made).toBe(expected);
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        strictJsonFrom(bytes);
      }),
    );
  });
});

describeWithVectors('strictJsonFrom on JSONTestSuite', 'json', () => {
  /** Valid JSON that is ambiguous or contains U+0000: refused by our own rules. */
  const refusedByRule = new Set([
    'y_object_duplicated_key.json',
    'y_object_duplicated_key_and_value.json',
    'y_object_escaped_null_in_key.json',
    'y_string_null_escape.json',
  ]);

  it.each(vectorFiles('json'))('%s', (file) => {
    const isAccepted = !isProblem(strictJsonFrom(vectorBytes(`json/${file}`)));
    if (file.startsWith('y_')) expect(isAccepted).toBe(!refusedByRule.has(file));
    else if (file.startsWith('n_')) expect(isAccepted).toBe(false);
    else expect(typeof isAccepted).toBe('boolean');
  });
});
