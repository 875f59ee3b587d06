import { describe, expect, it } from '@jest/globals';
import { orderLifted, orderMade } from '../../../src/core/ledger/order-record.ts';
import { evidenceClasses } from '../../../src/tools/evidence/evidence-class.ts';
import { mustFind } from '../../builders/must.ts';
import { observeOrder, stopOrder } from '../../builders/order.ts';

// Issue 41, point 7: an emergency is an exception from failing closed, for an auditor.
describe('evidence of failing closed', () => {
  const { matches, exceptionOf } = mustFind(evidenceClasses.find(({ id }) => id === 'E10'));
  const lifted = { by: 'spiffe://acme.test/ops', because: 'over', at: 2_000 };

  it('names an emergency as an exception, once', () => {
    const made = orderMade(observeOrder());
    expect([matches({ ...made }), exceptionOf({ ...made })]).toEqual([true, 'emergency: calls only observed']);
    expect(matches({ ...orderLifted(observeOrder(), lifted) })).toBe(false);
    expect(matches({ ...orderMade(stopOrder()) })).toBe(false);
  });
});
