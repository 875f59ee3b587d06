import { describe, expect, it } from '@jest/globals';
import { assert, jsonValue, property } from 'fast-check';
import { printableJson } from '../../../src/core/ledger/printable-json.ts';

describe('printableJson', () => {
  it.each([
    ['a C1 control, which a terminal obeys', 'a\u009b2J', '"a\\u009b2J"'],
    ['DEL', '\u007f', '"\\u007f"'],
    ['a line separator', '\u2028', '"\\u2028"'],
    ['a bidirectional override', '\u202e', '"\\u202e"'],
    ['a joiner, as words of Persian and emoji have it', '\u200d', '"\\u200d"'],
    ['a tag beyond the first plane', '\u{e0041}', '"\\udb40\\udc41"'],
    ['an escape, as JSON has it', '\u001b', '"\\u001b"'],
    ['other text', 'zahlt 5 €', '"zahlt 5 €"'],
  ])('escapes %s', (_name, value, json) => {
    expect(printableJson(value)).toBe(json);
  });

  it('keeps the lines of indented JSON', () => {
    expect(printableJson({ a: 'x\u009b\n' }, 2)).toBe('{\n  "a": "x\\u009b\\n"\n}');
  });

  it('prints only printable text, and loses nothing', () => {
    assert(
      property(jsonValue({ stringUnit: 'binary' }), (value) => {
        const json = printableJson(value);
        expect(json).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
        expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });
});
