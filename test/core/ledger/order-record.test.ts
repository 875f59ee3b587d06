import { describe, expect, it } from '@jest/globals';
import { orderReceipt } from '../../../src/core/fleet/receipt.ts';
import { orderLifted, orderMade, orderOver } from '../../../src/core/ledger/order-record.ts';
import { cellsOf } from '../../../src/core/ledger/timeline-text.ts';
import { observeOrder, stopOrder } from '../../builders/order.ts';

const stop = stopOrder();
const observe = observeOrder({ servers: ['payments'] });
const lifted = { by: 'spiffe://acme.test/ns/people/sa/second', because: 'over', at: 1_500 };

/** Issues 41, point 7, and 42: an order is recorded with its cause, who gave it, and until when it holds. */
describe('the records of an order', () => {
  it.each([
    ['orderMade, of a stop', orderMade(stop), ['order-made', 'operator.stopped', stop.by, 'INC-42', 1_000]],
    ['orderMade, to observe', orderMade(observe), ['order-made', 'operator.observed', observe.by, 'INC-42', 1_000]],
    ['orderLifted', orderLifted(stop, lifted), ['order-lifted', 'operator.lifted', lifted.by, 'over', 1_500]],
    ['orderOver', orderOver(observe, 2_000), ['order-over', 'deadline', 'remit', 'deadline reached', 2_000]],
  ])('`%s` has cause, operator, reason and instant', (_of, { event, cause, by, note, at, task }, expected) => {
    expect([event, cause, by, note, at]).toEqual(expected);
    expect(task).toBeNull();
  });

  it('name what it is about, and its end', () => {
    expect(orderMade(stop).details).toEqual({
      order: stop.id,
      of: 'stop',
      until: null,
      kind: 'agent',
      what: stop.what,
    });
    expect(orderOver(observe, 2_000).details).toEqual({
      order: observe.id,
      of: 'observe',
      until: 2_000,
      agents: observe.agents,
      servers: ['payments'],
    });
  });

  it('`orderReceipt` has the numbers of sidecars', () => {
    const receipt = { enforced: true, holders: 3, acknowledged: 2, fenced: 1, ms: 12 };
    expect(orderReceipt(stop, receipt, { change: 'order-made', at: 1_012 })).toMatchObject({
      event: 'receipt',
      cause: null,
      note: 'order-made enforced after 12 ms: 3 sidecars held it, 2 acknowledged, the lease of 1 ran out',
      details: { order: stop.id, change: 'order-made', ...receipt },
    });
  });

  it('are shown to people with the kind and the id of the order', () => {
    expect(cellsOf(orderMade(observe))[0]).toBe(
      'order given observe 00000000000000bb by spiffe://acme.test/ns/people/sa/operator: INC-42',
    );
  });
});
