import { describe, expect, it } from '@jest/globals';
import { loanIn, loanName } from '../../../src/core/state/task-loan.ts';

describe('loanIn', () => {
  it.each([
    ['calls:read', 3, { counts: 'calls', name: 'read', to: 'spiffe://acme.test/tools', amount: 3 }],
    ['decimal:euros', 25_000, { counts: 'amount', name: 'euros', to: 'spiffe://acme.test/tools', amount: 2.5 }],
  ])('reads what `loanName` wrote of %s', (counter, lent, loan) => {
    expect(loanIn(loanName(counter, 'spiffe://acme.test/tools'), lent)).toEqual(loan);
  });

  // The login of a database may write any name: `remit task show` ended with an error by it.
  it.each([
    ['of no JSON', 'lent ['],
    ['of nothing', 'lent []'],
    ['of numbers', 'lent [1,2]'],
    ['for a number', 'lent ["calls",2]'],
    ['of a list', 'lent [["calls"],""]'],
    ['of lists in lists', `lent ${'['.repeat(100_000)}`],
  ])('gives no loan for a name %s, which no authority wrote', (_what, name) => {
    expect(loanIn(name, 1)).toBeNull();
  });
});
