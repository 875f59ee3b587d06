import { expect, it } from '@jest/globals';
import { encodedRecord } from '../../../../src/core/ledger/encoded-record.ts';
import { isInForce, orderLimits } from '../../../../src/core/order/order.ts';
import type { Order, StopOrder } from '../../../../src/core/order/order.ts';
import { isStoreFailure } from '../../../../src/core/runtime/store-failure.ts';
import { must } from '../../../builders/must.ts';
import { observeOrder, stopOrder } from '../../../builders/order.ts';
import { agreeing } from '../../../builders/state-file.ts';
import { describeEach } from './each-implementation.ts';

const idOf = (n: number): string => n.toString(16).padStart(16, '0');
const stop = (n: number, of: Partial<StopOrder> = {}): StopOrder => stopOrder({ id: idOf(n), what: agent(n), ...of });
const agent = (n: number): string => `spiffe://acme.test/ns/agents/sa/a${n}`;
const recordOf = (note: string) =>
  must(
    encodedRecord({ kind: 'event', at: 5_000, task: null, event: 'restored', cause: null, note, by: 'x', details: {} }),
  );

describeEach('orders', ({ open, place, outbox }) => {
  let nowMs = 5_000;
  const opened = async (file?: string) => {
    const where = file ?? (await place());
    const state = await open(
      where,
      agreeing(() => nowMs),
    );
    const inForce = async (): Promise<readonly Order[]> => must(await state.authority.ordersInForce()).list;
    const notes = async () => (await outbox(where)).map(({ note }) => note);
    return { ...state, file: where, inForce, notes };
  };

  it('are in force from their commit on, with their records, and survive a restart', async () => {
    const { authority, states, inForce, notes, close, file } = await opened();
    expect(await authority.putOrder(stop(1), [recordOf('put 1')])).toBeNull();
    expect(states?.orders().list ?? [stop(1)]).toEqual([stop(1)]);
    expect(await authority.putOrder(observeOrder(), [recordOf('put 2')])).toBeNull();
    expect(states?.orders().stale ?? null).toBeNull();
    expect(await inForce()).toEqual([stop(1), observeOrder()]);
    expect(await notes()).toEqual(['put 1', 'put 2']);
    await close();
    const again = await opened(file);
    expect(await again.inForce()).toEqual([stop(1), observeOrder()]);
    expect(again.states?.orders().list ?? [stop(1), observeOrder()]).toEqual([stop(1), observeOrder()]);
    await again.close();
  });

  it('are lifted by their id, once, with the records of the first time', async () => {
    const { authority, states, inForce, notes, close } = await opened();
    await authority.putOrder(stop(1), []);
    await authority.putOrder(stop(2), []);
    expect(await authority.liftOrder(idOf(1), [recordOf('lifted')])).toEqual(stop(1));
    expect(states?.orders().list ?? [stop(2)]).toEqual([stop(2)]);
    expect(await authority.liftOrder(idOf(1), [recordOf('again')])).toBeUndefined();
    expect(await authority.liftOrder(idOf(9), [recordOf('none')])).toBeUndefined();
    expect(await inForce()).toEqual([stop(2)]);
    expect(await notes()).toEqual(['lifted']);
    await close();
  });

  it('are put once, however often they are sent, also if they were lifted meanwhile', async () => {
    const { authority, inForce, notes, close } = await opened();
    for (let n = 0; n < 2; n += 1) expect(await authority.putOrder(stop(1), [recordOf('put')])).toBeNull();
    expect(await inForce()).toEqual([stop(1)]);
    await authority.liftOrder(idOf(1), []);
    expect(await authority.putOrder(stop(1), [recordOf('put')])).toBeNull();
    expect(await inForce()).toEqual([]);
    expect(await notes()).toEqual(['put']);
    await close();
  });

  it('are a change of the feed each, under the root of orders', async () => {
    const { authority, feed, close } = await opened();
    const from = must(await feed.feedEnd());
    await authority.putOrder(stop(1), []);
    await authority.liftOrder(idOf(1), []);
    await authority.liftOrder(idOf(1), []);
    const change = { root: 'orders', part: 'orders' };
    expect(await feed.feedAfter(from)).toEqual({ changes: [change, change], position: from + 2 });
    await close();
  });

  it('are as many as may be in force: more are refused, without a record, until an order is over', async () => {
    const { authority, inForce, notes, close } = await opened();
    const patterns = Array.from({ length: orderLimits.maxPatterns }, (_, n) =>
      stop(n, { what: `spiffe://acme.test/ns/n${n}/*`, untilMs: 6_000 }),
    );
    for (const order of patterns) expect(await authority.putOrder(order, [])).toBeNull();
    const more = stop(1_000, { what: 'spiffe://acme.test/ns/more/*' });
    expect(await authority.putOrder(more, [recordOf('more')])).toMatchObject({ code: 'full' });
    expect(await authority.putOrder(stop(2_000), [])).toBeNull();
    expect(await notes()).toEqual([]);
    nowMs = 6_000;
    expect(await authority.putOrder(more, [recordOf('more')])).toBeNull();
    const left = (await inForce()).filter((order) => isInForce(order, { wallMs: nowMs, floorMs: nowMs }));
    expect(left.map(({ id }) => id)).toEqual([idOf(1_000), idOf(2_000)]);
    nowMs = 5_000;
    await close();
  });

  it('are deleted once they have been over for ten minutes by both clocks, so that their end is recorded before', async () => {
    nowMs = Date.now();
    const { authority, inForce, close } = await opened();
    const short = stop(1, { madeAtMs: nowMs - 700_000, untilMs: nowMs - 602_000 });
    const recent = stop(4, { madeAtMs: nowMs - 2_000, untilMs: nowMs - 1_000 });
    await authority.putOrder(short, []);
    await authority.putOrder(recent, []);
    await authority.putOrder(stop(2), []);
    await authority.putOrder(stop(3, { madeAtMs: nowMs, untilMs: nowMs + 3_600_000 }), []);
    await authority.prune(0);
    expect(isStoreFailure(await authority.prune(0))).toBe(false);
    expect(await authority.liftOrder(short.id, [])).toBeUndefined();
    expect(await authority.liftOrder(recent.id, [])).toEqual(recent);
    expect((await inForce()).map(({ id }) => id)).toEqual(expect.arrayContaining([idOf(2), idOf(3)]));
    nowMs = 5_000;
    await close();
  });

  it('with text that cannot be stored are refused', async () => {
    const { authority, close } = await opened();
    expect(await authority.putOrder(stop(1, { because: 'x\ud800' }), [])).toMatchObject({ code: 'refused' });
    expect(await authority.liftOrder('x\0', [])).toMatchObject({ code: 'refused' });
    await close();
  });
});
