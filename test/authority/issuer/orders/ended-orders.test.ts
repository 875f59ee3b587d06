import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { watchEndedOrders } from '../../../../src/authority/issuer/orders/ended-orders.ts';
import { directAuthority } from '../../../builders/direct-authority.ts';
import type { Store } from '../../../../src/core/state/store.ts';
import { must } from '../../../builders/must.ts';
import { observeOrder, stopOrder } from '../../../builders/order.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { mustOpen } from '../../../builders/state-file.ts';
import { until } from '../../../until.ts';

const folder = testFolders();

const madeAtMs = Date.UTC(2026, 11, 1);
const untilMs = madeAtMs + 60_000;

/** The events that wait for the ledger: what happened to which order. */
const events = (store: Store): readonly string[] =>
  must(store.outbox(0, 100)).map(({ bytes }) => {
    const { event, by, cause, details } = JSON.parse(Buffer.from(bytes).toString('utf8'));
    return `${event} ${details.order} by ${by}: ${cause}`;
  });

/** A state file, and a look at it each time `look` is called. */
const watching = (file: string, clocks: { wallMs: number; floorMs: number }) => {
  const store = mustOpen(file, { nowMs: () => clocks.wallMs });
  const { authority } = directAuthority(store);
  const broken: Error[] = [];
  const faults: string[] = [];
  const waiting: (() => void)[] = [];
  const end = watchEndedOrders({
    authority: {
      ordersInForce: async () => {
        const error = broken.shift();
        if (error !== undefined) throw error;
        return authority.ordersInForce();
      },
      liftOrder: (id, records) => authority.liftOrder(id, records),
    },
    clocks: () => clocks,
    onFault: (fault) => void faults.push(fault),
    after: (_delayMs, run) => {
      waiting.push(run);
      return () => void waiting.splice(waiting.indexOf(run), 1);
    },
  });
  const look = async (): Promise<void> => {
    waiting.shift()?.();
    await until(() => waiting.length === 1, { what: 'the next look is planned' });
  };
  const close = async (): Promise<void> => {
    await end();
    store.close();
  };
  return { store, look, close, broken, faults, isPlanned: () => waiting.length > 0 };
};

/** Issue 41, point 7: that an emergency ran out is recorded, once. */
describe('watchEndedOrders', () => {
  it('removes an order whose time is over with one record, also after a restart', async () => {
    const file = join(folder(), 'state.db');
    const clocks = { wallMs: madeAtMs, floorMs: madeAtMs };
    const first = watching(file, clocks);
    must(first.store.putOrder(observeOrder({ madeAtMs, untilMs }), []));
    must(first.store.putOrder(stopOrder({ id: '00000000000000cc', madeAtMs, untilMs }), []));
    must(first.store.putOrder(stopOrder({ madeAtMs, untilMs: null }), []));
    await first.look();
    expect(events(first.store)).toEqual([]);
    await first.close();
    Object.assign(clocks, { wallMs: untilMs, floorMs: untilMs });
    const second = watching(file, clocks);
    await second.look();
    await second.look();
    expect(events(second.store).toSorted()).toEqual([
      'order-over 00000000000000bb by remit: deadline',
      'order-over 00000000000000cc by remit: deadline',
    ]);
    expect(must(second.store.ordersInForce()).list.map(({ id }) => id)).toEqual([stopOrder().id]);
    await second.close();
    expect(second.isPlanned()).toBe(false);
  });

  it.each([
    ['is ahead', { wallMs: untilMs, floorMs: madeAtMs }],
    ['was set back', { wallMs: madeAtMs, floorMs: untilMs }],
  ])('ends an order to observe early, and a stop late, if the clock %s', async (_how, clocks) => {
    const { store, look, close } = watching(join(folder(), 'state.db'), clocks);
    must(store.putOrder(observeOrder({ madeAtMs, untilMs }), []));
    must(store.putOrder(stopOrder({ madeAtMs, untilMs }), []));
    await look();
    expect(must(store.ordersInForce()).list.map(({ of }) => of)).toEqual(['stop']);
    await close();
  });

  it('goes on after a fault', async () => {
    const clocks = { wallMs: untilMs, floorMs: untilMs };
    const { store, look, close, broken, faults } = watching(join(folder(), 'state.db'), clocks);
    must(store.putOrder(stopOrder({ madeAtMs, untilMs }), []));
    broken.push(new Error('broken'));
    await look();
    expect([faults, must(store.ordersInForce()).list.length]).toEqual([['Error: broken'], 1]);
    await look();
    expect(must(store.ordersInForce()).list).toEqual([]);
    await close();
  });
});
