import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { UNSEALED } from '../../../src/core/order/unsealed.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';
import { after } from '../../../src/core/runtime/timers.ts';
import { ordersDigest } from '../../../src/core/fleet/orders-digest.ts';
import { Orders } from '../../../src/core/order/orders.ts';
import { ORDERS_ROOT } from '../../../src/core/state/feed.ts';
import type { ServingAuthority } from '../../../src/authority/feed/start-authority.ts';
import { SidecarState } from '../../../src/sidecar/state/sidecar-state.ts';
import { closedAfterEach } from '../../builders/with-closers.ts';
import { must } from '../../builders/must.ts';
import { observeOrder, stopOrder } from '../../builders/order.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { describeWith, postgresPart } from '../../parts.ts';
import { mustOpenState } from '../../postgres/opening.ts';
import { startedPlaces } from '../../postgres/places.ts';
import { until } from '../../until.ts';
import { endOf, hello, RawClient, welcomed } from './raw-client.ts';
import { serving, servingPostgres } from './serving.ts';

const folder = testFolders();
const closers = closedAfterEach();

async function sidecar(targets: readonly string[]): Promise<SidecarState> {
  const state = SidecarState.open({
    targets,
    placeOf: (target) => ({ target, tls: null }),
    hello: () => ({ version: '0.2.0', policy_set: '', log: null }),
    status: () => ({ policy_set: '', policy_generation: 0, unacknowledged_records: 0, last_error: '' }),
    ports: systemPorts,
    after,
    onKeys: () => undefined,
    onEnded: () => undefined,
    onProblem: () => undefined,
    onOpened: () => undefined,
    onSettled: () => undefined,
  });
  closers.push(() => state.close());
  return state;
}
const leased = (state: SidecarState): Promise<unknown> =>
  until(() => state.states.orders().stale === null, { what: 'a lease' });

/** Waits until leases that an authority may have given before its start are over. */
const settledIn = (authority: Pick<ServingAuthority, 'enforced'>): Promise<unknown> =>
  until(async () => must(await authority.enforced(['none'])).enforced, { what: 'leases from before the start' });

const now = () => ({ wallMs: Date.now(), floorMs: Date.now() });
const short = { ...observeOrder(), madeAtMs: Date.now(), untilMs: Date.now() + 3_600_000 };

async function settledAuthority() {
  const started = await serving(folder());
  closers.push(() => started.close());
  await settledIn(started);
  return started;
}

describe('orders at sidecars of an authority', () => {
  it('are applied by all of them once they are acknowledged, and so is that they are lifted', async () => {
    const { enforced, state, targets } = await settledAuthority();
    const sidecars = [await sidecar(targets), await sidecar(targets)];
    for (const one of sidecars) await leased(one);
    await state.authority.putOrder(stopOrder(), []);
    // On a loaded machine a lease may run out meanwhile.
    expect(must(await enforced([ORDERS_ROOT]))).toMatchObject({ enforced: true, holders: 2 });
    const call = { agent: stopOrder().what } as never;
    for (const { states } of sidecars) expect(states.orders().stopFor(call, now())).toEqual(stopOrder());
    await state.authority.liftOrder(stopOrder().id, []);
    expect(must(await enforced([ORDERS_ROOT]))).toMatchObject({ enforced: true, holders: 2 });
    for (const one of sidecars) await leased(one);
    for (const { states } of sidecars) expect(states.orders().list).toEqual([]);
  });

  it('are there before a sidecar that connects later has a lease: until then they are stale', async () => {
    const { state, targets } = await settledAuthority();
    await state.authority.putOrder(stopOrder(), []);
    await state.authority.putOrder(short, []);
    const late = await sidecar(targets);
    expect(late.states.orders()).toMatchObject({ list: [], stale: { detail: 'no authority has answered yet' } });
    await leased(late);
    expect(late.states.orders().list).toEqual([stopOrder(), short]);
  });

  it('still stop what is known to be stopped once the lease is over, and are said to be old', async () => {
    const { state, targets, close } = await serving(folder());
    await state.authority.putOrder(stopOrder(), []);
    await state.authority.putOrder(short, []);
    const cut = await sidecar(targets);
    await leased(cut);
    expect(cut.states.orders().observing(now())).toEqual([short]);
    await close();
    await until(() => cut.states.orders().stale !== null, { what: 'the end of the lease' });
    expect(cut.states.orders().list).toEqual([stopOrder(), short]);
    expect(cut.states.orders().stopOf('agent', stopOrder().what, now())).toEqual(stopOrder());
    expect(cut.states.orders().observing(now())).toEqual([]);
  });

  it('come before the first `Fresh` of a stream, and before the position of their change', async () => {
    const { state, targets } = await settledAuthority();
    await state.authority.putOrder(stopOrder(), []);
    const client = new RawClient(targets[0] ?? '');
    closers.push(() => client.close());
    const { send, downs } = client.follow();
    send(hello('instance-1'));
    send({ of: 'ping', ping: { n: 1, status: null } });
    await until(() => downs.some(({ of }) => of === 'fresh'), { what: 'a lease' });
    const kinds = downs.map(({ of }) => of);
    expect(kinds.indexOf('orders')).toBeLessThan(kinds.indexOf('fresh'));
    await state.authority.liftOrder(stopOrder().id, []);
    const isChange = (down: (typeof downs)[number]): boolean => down.of === 'orders' && !down.orders.whole;
    await until(() => downs.some(isChange) && downs.at(-1)?.of === 'changes', { what: 'the change' });
    const change = downs.findIndex(isChange);
    expect(downs[change]).toMatchObject({ orders: { lifted: [stopOrder().id], in_force: 0 } });
    expect(downs[change + 1]).toMatchObject({ of: 'changes' });
  });

  it('are sent whole to a sidecar that connects, unless it has the same', async () => {
    const { state, targets } = await settledAuthority();
    for (const order of [stopOrder(), short]) await state.authority.putOrder(order, []);
    const client = new RawClient(targets[0] ?? '');
    closers.push(() => client.close());
    const firstOf = async (instance: string, digest: string) => {
      const { send, downs } = client.follow();
      send(hello(instance, { orders_digest: digest }));
      send({ of: 'ping', ping: { n: 1, status: null } });
      await until(() => downs.some(({ of }) => of === 'fresh'), { what: 'a lease' });
      return downs.flatMap((down) => (down.of === 'orders' ? [down.orders] : []));
    };
    const digest = ordersDigest(Orders.of([short, stopOrder()]));
    const whole = [{ whole: true, given: [expect.any(String), expect.any(String)], in_force: 2, unchanged: '' }];
    expect(await firstOf('instance-1', '')).toMatchObject(whole);
    expect(await firstOf('instance-2', ordersDigest(Orders.of([short])))).toMatchObject(whole);
    expect(await firstOf('instance-3', digest)).toMatchObject([
      { whole: false, given: [], in_force: 2, unchanged: digest },
    ]);
  });

  it('are not enforced before the lease of a sidecar is over that does not acknowledge them', async () => {
    const { enforced, state, targets } = await settledAuthority();
    const client = new RawClient(targets[0] ?? '');
    closers.push(() => client.close());
    const silent = client.follow();
    silent.send(hello('instance-1'));
    silent.send({ of: 'ping', ping: { n: 1, status: null } });
    await until(() => silent.downs.some(({ of }) => of === 'fresh'), { what: 'a lease' });
    await state.authority.putOrder(stopOrder(), []);
    expect(must(await enforced([ORDERS_ROOT]))).toEqual({ enforced: true, holders: 1, acknowledged: 0, fenced: 1 });
  });
});

describe('a sidecar of an earlier release', () => {
  it('is refused while a stop is in force, and loses its stream once a stop is ordered, with the reason', async () => {
    const { enforced, state, targets } = await settledAuthority();
    const client = new RawClient(targets[0] ?? '');
    closers.push(() => client.close());
    const said: string[] = [];
    const older = (instance: string) => {
      const stream = client.follow();
      stream.stream.on('status', ({ details }) => said.push(details));
      stream.send(hello(instance, { orders: false }));
      return stream;
    };
    await state.authority.putOrder(short, []);
    const before = older('instance-1');
    await welcomed(before);
    before.send({ of: 'ping', ping: { n: 1, status: null } });
    await until(() => before.downs.some(({ of }) => of === 'fresh'), { what: 'a lease' });
    expect(before.downs.some(({ of }) => of === 'orders')).toBe(false);
    await state.authority.putOrder(stopOrder(), []);
    const receipt = enforced([ORDERS_ROOT]);
    expect(await endOf(before)).toBe('FAILED_PRECONDITION');
    expect(must(await receipt)).toEqual({ enforced: true, holders: 1, acknowledged: 0, fenced: 1 });
    expect(await endOf(older('instance-2'))).toBe('FAILED_PRECONDITION');
    expect(new Set(said)).toEqual(
      new Set(['a stop is in force, which a sidecar of this release cannot apply: upgrade it, or lift the stop']),
    );
    await state.authority.liftOrder(stopOrder().id, []);
    await welcomed(older('instance-3'));
  });
});

describeWith(postgresPart(), 'orders on one PostgreSQL', (binaries) => {
  const places = startedPlaces(binaries, folder());

  async function authority(url: string) {
    const state = await mustOpenState(url);
    closers.push(() => state.close());
    const started = must(await servingPostgres(state, { folder: folder(), leaseMs: 2_000 }));
    closers.push(() => started.close());
    return { ...started, state };
  }

  it('are enforced once the sidecars of every authority have applied them', async () => {
    const url = await places.next();
    const [one, two] = [await authority(url), await authority(url)];
    const sidecars = [await sidecar(one.targets), await sidecar(two.targets)];
    for (const side of sidecars) await leased(side);
    await settledIn(one);
    for (let n = 0; n < 4; n += 1) {
      const order = stopOrder({ id: n.toString(16).padStart(16, '0'), kind: 'server', what: `server-${n}` });
      expect(await one.state.authority.putOrder(order, [])).toBeNull();
      expect(must(await one.enforced([ORDERS_ROOT]))).toMatchObject({ enforced: true });
      for (const { states } of sidecars) {
        const orders = states.orders();
        expect(orders.stale !== null || orders.stopOf('server', `server-${n}`, now()) !== null).toBe(true);
      }
      expect(must(await two.state.authority.ordersInForce()).list).toHaveLength(n + 1);
    }
    expect(await two.state.authority.liftOrder('0'.repeat(16), [])).toMatchObject({ what: 'server-0' });
    expect(must(await two.enforced([ORDERS_ROOT]))).toMatchObject({ enforced: true });
    for (const { states } of sidecars) {
      const orders = states.orders();
      expect(orders.stale !== null || orders.stopOf('server', 'server-0', now()) === null).toBe(true);
    }
  });

  it('keep an authority of an earlier release from renewing leases while a stop is in force', async () => {
    const url = await places.next();
    const { state } = await authority(url);
    const beatOfOlder = () => places.sql(url, `UPDATE remit.replicas SET beat = beat + 1, knows_orders = false`);
    expect(await beatOfOlder()).toBeDefined();
    await state.authority.putOrder(short, []);
    expect(await beatOfOlder()).toBeDefined();
    await state.authority.putOrder(stopOrder(), []);
    await expect(beatOfOlder()).rejects.toThrow('an authority of an earlier release cannot pass on');
    await state.authority.liftOrder(stopOrder().id, []);
    expect(await beatOfOlder()).toBeDefined();
  });

  it('count if they stop, whoever wrote the row, and if they only observe, by the key of the authorities', async () => {
    const url = await places.next();
    const forged: string[] = [];
    const stateKey = randomBytes(32);
    const state = await mustOpenState(url, { stateKey, onForged: (what) => forged.push(what) });
    closers.push(() => state.close());
    await state.authority.putOrder(short, []);
    const write = async (order: object, id: string): Promise<void> => {
      const body = JSON.stringify({ ...order, id });
      await places.sql(url, `INSERT INTO remit.orders VALUES ($1, 'stop', NULL, $2, NULL)`, [id, body]);
      await places.sql(url, 'UPDATE remit.orders_head SET version = version + 1');
    };
    await write(short, '0000000000000001');
    await write(stopOrder(), '0000000000000002');
    const found = await state.authority.ordersInForce();
    // Issue 42, point 3: the stop was shown as that of the operator whom its row names.
    expect(isStoreFailure(found) ? found : found.list.map(({ id, by }) => [id, by])).toEqual([
      ['0000000000000002', UNSEALED],
      [short.id, short.by],
    ]);
    expect(forged).toEqual(['order 0000000000000001']);
    expect(await state.authority.liftOrder('0000000000000002', [])).toMatchObject({ by: UNSEALED });
    expect(must(await state.authority.ordersInForce()).list.map(({ id }) => id)).toEqual([short.id]);
  });
});
