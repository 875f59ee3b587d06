import { describe, expect, it } from '@jest/globals';
import { decide } from '../../../src/core/decide/decide.ts';
import type { CallFacts } from '../../../src/core/decide/facts.ts';
import { heldWhileObserved } from '../../../src/core/decide/held-while-observed.ts';
import { deny, isDeny } from '../../../src/core/decision/decision.ts';
import { TOOL_PINS } from '../../../src/core/order/order.ts';
import type { StopOrder } from '../../../src/core/order/order.ts';
import { Orders } from '../../../src/core/order/orders.ts';
import { action, facts, rules } from '../../builders/decided-call.ts';
import { stopOrder } from '../../builders/order.ts';

const changed = (order: Partial<StopOrder> = {}): Orders =>
  Orders.of([
    stopOrder({
      by: TOOL_PINS,
      kind: 'action',
      what: action.id,
      because: 'tool `pay`: its definition differs',
      ...order,
    }),
  ]);
const reasonOf = (of: Partial<CallFacts>): string => {
  const decision = decide({ ...facts, ...of }, rules);
  return isDeny(decision) ? decision.reason : 'allowed';
};

describe('a tool that is not as it was reviewed', () => {
  it('denies the calls of its action, with what has become of it for the record', () => {
    expect(decide({ ...facts, orders: changed() }, rules)).toMatchObject({
      kind: 'deny',
      reason: 'action.changed',
      detail: expect.stringContaining('tool `pay`: its definition differs'),
    });
  });

  it('denies a call that can also be read as its action', () => {
    const further = { action: { ...action, further: [{ ...action, id: 'payments.x' }] } };
    expect(reasonOf({ orders: changed({ what: 'payments.x' }), ...further })).toBe('action.changed');
  });

  it('leaves other actions alone, and ends with its order', () => {
    expect(reasonOf({ orders: changed({ what: 'payments.x' }) })).toBe('allowed');
    expect(reasonOf({ orders: changed({ untilMs: 1 }) })).toBe('allowed');
  });

  it('is told to nobody without a good credential', () => {
    expect(reasonOf({ orders: changed(), credential: deny('token.missing', 'no `authorization` header') })).toBe(
      'token.missing',
    );
  });

  it('lets observed calls pass, and does not hide a stop of the action', () => {
    const decision = decide({ ...facts, orders: changed() }, rules);
    expect([isDeny(decision), heldWhileObserved({ ...facts, orders: changed() }, rules)]).toEqual([true, null]);
    const both = Orders.of([...changed().list, stopOrder({ kind: 'action', what: action.id })]);
    expect(heldWhileObserved({ ...facts, orders: both }, rules)).toMatchObject({ reason: 'stopped.action' });
  });
});
