import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { decimalFrom } from '../../../../src/core/action/budget/decimal.ts';
import { exactJsonFrom } from '../../../../src/core/action/arguments/json-arguments.ts';

/** The decimal of JSON, as a body has it. */
function fromJson(text: string): string | null {
  const read = exactJsonFrom(Buffer.from(text));
  if ('problem' in read) throw new Error(read.problem);
  return decimalFrom(read.value)?.decimal ?? null;
}

const plain = (scaled: bigint, zeros: number): string => {
  const digits = String(scaled < 0n ? -scaled : scaled).padStart(5, '0');
  return `${scaled < 0n ? '-' : ''}${digits.slice(0, -4)}.${digits.slice(-4)}${'0'.repeat(zeros)}`;
};

const scaledOf = (decimal: string | null): bigint | null => {
  const [, sign = '', whole = '', fraction = ''] = /^(-?)(\d+)\.(\d+)$/.exec(decimal ?? '') ?? [];
  return whole === '' ? null : BigInt(`${sign}${whole}${fraction.padEnd(4, '0')}`);
};

describe('decimalFrom', () => {
  it.each([
    ['1.10', '1.1'],
    ['1.1', '1.1'],
    ['11e-1', '1.1'],
    ['0.11E+1', '1.1'],
    ['1.100000', '1.1'],
    ['"1.10"', '1.1'],
    ['"1.100000"', '1.1'],
    ['100', '100.0'],
    ['1e2', '100.0'],
    ['"100"', '100.0'],
    ['0.0001', '0.0001'],
    ['1e-4', '0.0001'],
    ['-0', '0.0'],
    ['-0.0', '0.0'],
    ['"-0"', '0.0'],
    ['"-0.0000"', '0.0'],
    ['-1.50', '-1.5'],
    ['922337203685477', '922337203685477.0'],
    ['"922337203685477.5807"', '922337203685477.5807'],
    ['"-922337203685477.5807"', '-922337203685477.5807'],
  ])('takes %s for %s', (json, expected) => {
    expect(fromJson(json)).toBe(expected);
  });

  it.each([
    ['more than Cedar holds', '"922337203685477.5808"'],
    ['more than Cedar holds, negative', '"-922337203685477.5808"'],
    ['more digits than Cedar holds', '"1000000000000000"'],
    ['five places', '0.00001'],
    ['five places as text', '"1.00001"'],
    ['a number that doubles round', '922337203685477.5807'],
    ['a number that doubles round to a decimal', '1.10000000000000000001'],
    ['a number beyond doubles', '1e400'],
    ['a number below doubles', '1e-400'],
    ['an exponent in text, which some parsers stop at', '"99999e-4"'],
    ['a sign', '"+1.1"'],
    ['a leading zero', '"01.1"'],
    ['no digit before the point', '".5"'],
    ['no digit after it', '"5."'],
    ['a comma', '"1,1"'],
    ['spaces', '" 1.1"'],
    ['a line end', '"1.1\\n"'],
    ['digits of another script', '"\u0661"'],
    ['hexadecimal', '"0x11"'],
    ['nothing', '""'],
    ['a list', '[1.1]'],
    ['null', 'null'],
  ])('refuses %s', (_name, json) => {
    expect(fromJson(json)).toBeNull();
  });

  it('has one spelling for each value, however text spells it', () => {
    const limit = 2n ** 63n - 1n;
    const zeros = fc.nat(6);
    fc.assert(
      fc.property(fc.bigInt({ min: -limit, max: limit }), zeros, zeros, (scaled, some, others) => {
        const one = decimalFrom(plain(scaled, some))?.decimal ?? null;
        expect(scaledOf(one)).toBe(scaled);
        expect(decimalFrom(plain(scaled, others))?.decimal).toBe(one);
        expect(decimalFrom(one)?.decimal).toBe(one);
      }),
    );
  });

  it('reads a JSON number as its text, in any spelling that a double holds', () => {
    // 11 digits and 4 places are fewer than the 15 of a double.
    const limit = 10n ** 15n - 1n;
    fc.assert(
      fc.property(fc.bigInt({ min: -limit, max: limit }), fc.nat(12), (scaled, shift) => {
        const expected = decimalFrom(plain(scaled, 0))?.decimal;
        expect(fromJson(plain(scaled, 0))).toBe(expected);
        expect(fromJson(`${scaled}e-4`)).toBe(expected);
        const zeros = scaled === 0n ? 0 : shift;
        expect(fromJson(`${scaled}${'0'.repeat(zeros)}e${-4 - zeros}`)).toBe(expected);
      }),
    );
  });
});
