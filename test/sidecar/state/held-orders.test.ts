import { describe, expect, it } from '@jest/globals';
import { changedOrders, firstOrders, wholeOrders } from '../../../src/authority/feed/order-messages.ts';
import type { Down, OrdersMessage } from '../../../src/core/fleet/messages.ts';
import { ordersDigest } from '../../../src/core/fleet/orders-digest.ts';
import { Orders } from '../../../src/core/order/orders.ts';
import { HeldOrders } from '../../../src/sidecar/state/held-orders.ts';
import { observeOrder, stopOrder } from '../../builders/order.ts';

const idOf = (n: number): string => n.toString(16).padStart(16, '0');
const stops = (count: number, because = 'INC-42') =>
  Array.from({ length: count }, (_, n) => stopOrder({ id: idOf(n), kind: 'server', what: `server-${n}`, because }));
const messagesOf = (downs: readonly Down[]): readonly OrdersMessage[] =>
  downs.flatMap((down) => (down.of === 'orders' ? [down.orders] : []));

/** The orders of a sidecar on a stream, after these messages; `null` where one of them was refused. */
function heard(held: HeldOrders, downs: readonly Down[]): Orders | null {
  for (const message of messagesOf(downs)) if (!held.heard(message)) return null;
  return held.orders;
}

describe('HeldOrders', () => {
  it('has the whole list of a stream, and each change of it', () => {
    const held = new HeldOrders();
    held.began(true);
    const first = Orders.of(stops(3));
    expect(heard(held, wholeOrders(first))?.list).toEqual(first.list);
    const next = Orders.of([...stops(3).slice(1), observeOrder()]);
    expect(heard(held, changedOrders(first, next))?.list).toEqual(next.list);
    expect(heard(held, changedOrders(next, Orders.none))?.list).toEqual([]);
    expect(changedOrders(next, next)).toEqual([]);
  });

  it('renews no lease before the whole list has come, and keeps what was known until then', () => {
    const held = new HeldOrders();
    held.began(true);
    expect(held.mayRenew()).toBe(false);
    heard(held, wholeOrders(Orders.of(stops(1))));
    expect(held.mayRenew()).toBe(true);
    held.began(true);
    expect([held.mayRenew(), held.orders.list]).toEqual([false, stops(1)]);
    heard(held, wholeOrders(Orders.none));
    expect([held.mayRenew(), held.orders.list]).toEqual([true, []]);
  });

  it('takes that its list is unchanged from an authority that has the same, and the whole list from any other', () => {
    const held = new HeldOrders();
    const known = Orders.of([...stops(3), observeOrder()]);
    held.began(true);
    expect(held.digest).toBe('');
    heard(held, firstOrders(known, held.digest));
    // In another order, as another authority may have them.
    const same = Orders.of(known.list.toReversed());
    held.began(true);
    const [message, ...others] = messagesOf(firstOrders(same, held.digest));
    expect([message, others]).toEqual([{ ...EMPTY, in_force: 4, unchanged: held.digest }, []]);
    expect([held.mayRenew(), held.heard(message ?? EMPTY), held.mayRenew()]).toEqual([false, true, true]);
    expect(held.orders.list).toEqual(known.list);
    // What changes after it is applied to it.
    const fewer = Orders.of(same.list.slice(1));
    expect(heard(held, changedOrders(same, fewer))?.list).toHaveLength(3);
    // A restored authority has fewer, or others of the same number.
    for (const other of [Orders.of(stops(2)), Orders.of(stops(3, 'INC-43')), Orders.none]) {
      held.began(true);
      const downs = firstOrders(other, held.digest);
      expect(messagesOf(downs)[0]).toMatchObject({ whole: true });
      expect(heard(held, downs)?.list).toEqual(other.list);
    }
    expect(held.digest).toBe('');
  });

  it('asks for the whole list after an authority called another list unchanged, and keeps what it knows until it has come', () => {
    const held = new HeldOrders();
    held.began(true);
    const known = Orders.of(stops(2));
    heard(held, wholeOrders(known));
    // Within a stream nothing is called unchanged.
    expect(held.heard({ ...EMPTY, in_force: 2, unchanged: held.digest })).toBe(false);
    for (const unchanged of ['x', ordersDigest(Orders.of(stops(1)))]) {
      held.began(true);
      expect([held.heard({ ...EMPTY, in_force: 2, unchanged }), held.mayRenew(), held.digest]).toEqual([
        false,
        false,
        '',
      ]);
      expect(held.orders.list).toEqual(known.list);
    }
    held.began(true);
    heard(held, firstOrders(known, held.digest));
    expect([held.mayRenew(), held.digest]).toEqual([true, ordersDigest(known)]);
  });

  it('takes 10,000 orders in parts, none of which counts before the last', () => {
    const held = new HeldOrders();
    held.began(true);
    const many = Orders.of(stops(10_000, 'x'.repeat(200)));
    const parts = messagesOf(wholeOrders(many));
    expect(parts.length).toBeGreaterThan(4);
    for (const part of parts.slice(0, -1)) {
      expect(held.heard(part)).toBe(true);
      expect([held.mayRenew(), held.orders.list.length]).toEqual([false, 0]);
    }
    expect(held.heard(parts.at(-1) ?? EMPTY)).toBe(true);
    expect(held.orders.list).toEqual(many.list);
  });

  it.each([
    ['a part of a whole list is missing', wholeOrders(Orders.of(stops(10_000))).toSpliced(1, 1)],
    ['a change comes before the whole list', changedOrders(Orders.none, Orders.of(stops(1)))],
    [
      'an earlier change is missing',
      [...wholeOrders(Orders.none), ...changedOrders(Orders.of(stops(1)), Orders.of(stops(2)))],
    ],
  ])('refuses a message if %s', (_, downs) => {
    const held = new HeldOrders();
    held.began(true);
    expect(heard(held, downs)).toBeNull();
  });

  it('refuses an order that it cannot read, such as an order of a later version', () => {
    const held = new HeldOrders();
    held.began(true);
    const later = JSON.stringify({ ...stopOrder(), except: 'x' });
    expect(held.heard({ ...EMPTY, whole: true, given: [later], in_force: 1 })).toBe(false);
  });

  it('has none once an authority that sends none has renewed its lease: it does so only while no stop is in force', () => {
    const held = new HeldOrders();
    held.began(true);
    heard(held, wholeOrders(Orders.of(stops(1))));
    held.began(false);
    expect(held.orders.list).toEqual(stops(1));
    expect([held.mayRenew(), held.orders.list]).toEqual([true, []]);
  });
});

const EMPTY: OrdersMessage = { whole: false, given: [], lifted: [], continues: false, in_force: 0 };
