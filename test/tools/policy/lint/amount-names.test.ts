import { describe, expect, it } from '@jest/globals';
import { riskOfRoute } from '../../../../src/tools/learn/guessed-risk.ts';
import { isAmountName } from '../../../../src/tools/policy/lint/amount-names.ts';

describe('isAmountName', () => {
  it.each(['amount', 'Amount', 'AMOUNT', 'amount_cents', 'amountCents', 'payment.amount', 'order.Total'])(
    'knows `%s`, which makes a route of high risk',
    (name) => {
      expect(isAmountName(name)).toBe(true);
      expect(riskOfRoute('POST', '/orders', [name])).toBe('high');
    },
  );

  it.each(['amounts.id', 'subtotals', 'amount.currency', '', 'discount'])('takes `%s` for none', (name) => {
    expect(isAmountName(name)).toBe(false);
  });
});
