import { describe, expect, it } from '@jest/globals';
import { TOOL_PINS } from '../../../src/core/order/order.ts';
import { Orders } from '../../../src/core/order/orders.ts';
import type { StoppableCall } from '../../../src/core/order/orders.ts';
import { storeFailure } from '../../../src/core/runtime/store-failure.ts';
import { observeOrder, stopOrder } from '../../builders/order.ts';
import { mustSpiffeId } from '../../builders/spiffe-id.ts';

const now = { wallMs: 1_500, floorMs: 1_500 };
const planner = mustSpiffeId('spiffe://acme.test/ns/agents/sa/planner');
const other = mustSpiffeId('spiffe://acme.test/ns/agents/sa/other');

const call: StoppableCall = {
  agent: planner,
  user: { subject: 'alice', issuer: null },
  server: 'tools',
  action: 'payments.create',
};

describe('Orders.stopFor', () => {
  it.each([
    ['its agent', stopOrder({ what: planner }), true],
    ['another agent', stopOrder({ what: other }), false],
    ['agents of a pattern that it is of', stopOrder({ what: 'spiffe://acme.test/ns/*' }), true],
    ['agents of a pattern that it is not of', stopOrder({ what: 'spiffe://acme.test/ns/tools/*' }), false],
    ['its user', stopOrder({ kind: 'user', what: 'alice' }), true],
    [
      'its user of an issuer, since a task does not know which',
      stopOrder({ kind: 'user', what: 'https://a.test alice' }),
      true,
    ],
    ['another user', stopOrder({ kind: 'user', what: 'bob' }), false],
    ['its server', stopOrder({ kind: 'server', what: 'tools' }), true],
    ['another server', stopOrder({ kind: 'server', what: 'mail' }), false],
    ['its action', stopOrder({ kind: 'action', what: 'payments.create' }), true],
    ['another action', stopOrder({ kind: 'action', what: 'payments.list' }), false],
    ['everything', stopOrder({ kind: 'all', what: '' }), true],
    ['its agent, but is over', stopOrder({ what: planner, untilMs: 1_500 }), false],
    ['agents of its pattern, but is over', stopOrder({ what: 'spiffe://acme.test/ns/*', untilMs: 1_500 }), false],
    ['only observes', observeOrder(), false],
  ])('finds a stop that names %s', (_, order, isFound) => {
    expect(Orders.of([order]).stopFor(call, now)).toBe(isFound ? order : null);
  });

  it('knows nothing of what it is not asked', () => {
    const orders = Orders.of([stopOrder({ kind: 'server', what: 'tools' })]);
    expect(orders.stopFor({ agent: planner }, now)).toBeNull();
    expect(orders.stopFor({ server: 'tools' }, now)).not.toBeNull();
  });

  it('gives the stop that lasts longest of several of the same thing', () => {
    const [short, long, lasting] = [stopOrder({ untilMs: 1_600 }), stopOrder({ untilMs: 9_000 }), stopOrder()];
    expect(Orders.of([short, long]).stopFor(call, now)).toBe(long);
    expect(Orders.of([short, lasting, long]).stopFor(call, now)).toBe(lasting);
  });

  it.each([
    ['https://a.test', 'https://a.test', true],
    ['https://a.test', 'https://b.test', false],
    ['https://a.test', null, true],
    [null, 'https://b.test', true],
  ])('stops the user of the issuer %s for a token of %s: %s', (named, issuer, isFound) => {
    const what = named === null ? 'alice' : `${named} alice`;
    const orders = Orders.of([stopOrder({ kind: 'user', what })]);
    expect(orders.stopOfUser('alice', issuer, now) !== null).toBe(isFound);
  });

  it('finds an exact stop that is over no more, and still the pattern', () => {
    const pattern = stopOrder({ what: 'spiffe://acme.test/ns/agents/*' });
    const orders = Orders.of([stopOrder({ untilMs: 1_400 }), pattern]);
    expect(orders.stopOf('agent', planner, now)).toBe(pattern);
    expect(orders.stopOf('agent', planner, now)).toBe(pattern);
  });
});

describe('Orders.observing', () => {
  const observe = observeOrder();
  it('gives those that are not over', () => {
    const orders = Orders.of([observe, observeOrder({ untilMs: 1_500 }), stopOrder()]);
    expect(orders.observing(now)).toEqual([observe]);
  });

  it('gives none once the list may be old, since their end may be missing; stops still hold', () => {
    const orders = Orders.of([observe, stopOrder()]).staleBecause(storeFailure('busy', 'the lease has run out'));
    expect(orders.observing(now)).toEqual([]);
    expect(orders.stopFor(call, now)).toEqual(stopOrder());
    expect(orders.stale?.detail).toBe('the lease has run out');
  });
});

it('Orders.none has no order, and is not stale', () => {
  expect(Orders.of([])).toBe(Orders.none);
  expect(Orders.none.hasStops).toBe(false);
  expect(Orders.none.stale).toBeNull();
  expect(Orders.none.stopFor(call, now)).toBeNull();
  expect(Orders.none.observing(now)).toEqual([]);
});

describe('Orders.changedTool', () => {
  const changed = stopOrder({ id: '00000000000000cc', by: TOOL_PINS, kind: 'action', what: 'payments.create' });

  it('finds the order about the tool of an action, which stops nothing else', () => {
    const orders = Orders.of([changed]);
    expect([orders.changedTool('payments.create', now), orders.changedTool('payments.list', now)]).toEqual([
      changed,
      null,
    ]);
    expect([orders.hasStops, orders.stopFor(call, now)]).toEqual([false, null]);
  });

  it('is never in the place of a stop of the same action by an operator', () => {
    const stop = stopOrder({ kind: 'action', what: 'payments.create', untilMs: 9_000 });
    const orders = Orders.of([changed, stop]);
    expect([orders.stopFor(call, now), orders.changedTool('payments.create', now)]).toEqual([stop, changed]);
  });
});
