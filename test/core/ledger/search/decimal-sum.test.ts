import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { decimalSumText, scaledDecimal } from '../../../../src/core/ledger/search/decimal-sum.ts';

describe('scaledDecimal', () => {
  it.each([
    ['0.1 and 0.2', ['0.1', '0.2'], '0.3'],
    ['numbers beyond a double', ['9007199254740993', 1], '9007199254740994'],
    ['a negative sum', ['-5.50', '1.25'], '-4.25'],
    ['nothing', [], '0'],
  ])('adds %s exactly', (_name, values, sum) => {
    expect(decimalSumText(values.reduce((all, value) => all + (scaledDecimal(value) ?? 0n), 0n))).toBe(sum);
  });

  it.each([['much'], [''], ['1e3'], [1e300], [null], [true], [['1']], ['1.'], [' 1']])(
    'gives nothing of %j',
    (value) => {
      expect(scaledDecimal(value)).toBeNull();
    },
  );

  it('gives the text that it was made of', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }), (scaled) => {
        expect(scaledDecimal(decimalSumText(scaled))).toBe(scaled);
      }),
    );
  });
});
