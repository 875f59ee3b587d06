import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { ServingAuthority } from '../../../src/authority/feed/start-authority.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import type { PostgresState } from '../../../src/authority/state/postgres/postgres-state.ts';
import type { SidecarState } from '../../../src/sidecar/state/sidecar-state.ts';
import { keyOf, servingPostgres } from '../../authority/feed/serving.ts';
import { must } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { byOperator, taskNumber, tokenNumber } from '../../builders/task.ts';
import { FaultProxy } from '../../fault-proxy.ts';
import { describeWith, postgresPart } from '../../parts.ts';
import { startCluster, type PostgresCluster } from '../../postgres/cluster.ts';
import { failover } from '../../../src/dev/postgres/failover.ts';
import { until } from '../../until.ts';
import { watch, type Watch } from './watched-state.ts';
import { migrate, openReplica } from './replicas.ts';
import { seen, titleOf } from './rows.ts';
import { openSidecar } from '../../builders/sidecar-state.ts';

/** Long enough for a loaded machine to connect anew within half of it. */
const LEASE_MS = 8_000;
const HOUR_MS = 3_600_000;
const folder = testFolders();

/** An authority, and the proxies of its own between it and the nodes. */
interface Authority {
  readonly state: PostgresState;
  readonly serving: ServingAuthority;
  readonly database: readonly FaultProxy[];
}

/** Ends a task until the end is acknowledged and enforced. Gives how many of the sidecars allowed a use after that. */
const lateAfterEnd = async ({ state, serving }: Authority, n: number, uses: readonly Watch[]): Promise<number> => {
  await until(
    async () => {
      const ended = await state.authority.applyTaskEvent(keyOf(n), byOperator('cancel'), 'operator');
      return ended !== undefined && 'changed' in ended;
    },
    { what: 'the end is acknowledged' },
  );
  await until(
    async () => {
      const receipt = await serving.enforced([keyOf(n).id]);
      return 'enforced' in receipt && receipt.enforced;
    },
    { what: 'the end is enforced' },
  );
  const enforcedMs = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 200));
  return uses.filter((use) => use.lastAllowedMs() > enforcedMs).length;
};

describeWith(postgresPart(), 'failure matrix: authorities on a cluster', (binaries) => {
  let cluster: PostgresCluster;
  let next = 1;
  const closers: (() => unknown)[] = [];
  beforeAll(async () => {
    cluster = await startCluster({ binaries, folder: folder() });
    await migrate(cluster);
  });
  /** A database of its own with the tables. Gives its name. */
  const newDatabase = async (name: string): Promise<string> => {
    await cluster.sql(`CREATE DATABASE ${name}`);
    await migrate({ ownerUrl: cluster.ownerUrl.replace('/postgres?', `/${name}?`) });
    return name;
  };
  const closeAll = async (): Promise<void> => {
    cluster.heal();
    for (const close of closers.splice(0).reverse()) await close();
  };
  afterEach(closeAll);
  afterAll(() => cluster.close());

  const authority = async (name = 'postgres', leaseMs = LEASE_MS): Promise<Authority> => {
    const ports = [...cluster.url.matchAll(/127\.0\.0\.1:(\d+)/g)].map((match) => Number(match[1]));
    const database = await Promise.all(ports.map((port) => FaultProxy.start(port)));
    const nodes = ports.reduce(
      (text, port, at) => text.replace(`:${port}`, `:${database[at]?.port ?? 0}`),
      cluster.url,
    );
    const url = nodes.replace('/postgres?', `/${name}?`);
    const state = await openReplica({ url }, { clocks: systemPorts });
    const serving = must(await servingPostgres(state, { folder: folder(), leaseMs }));
    closers.push(
      () => Promise.all(database.map((proxy) => proxy.close())),
      () => state.close(),
      () => serving.close(),
    );
    return { state, serving, database };
  };
  /** A sidecar with a lease, which follows the first of the authorities. */
  const sidecar = async (...authorities: readonly Authority[]): Promise<SidecarState> => {
    const targets = authorities.flatMap(({ serving }) => serving.targets);
    const state = openSidecar(targets);
    closers.push(() => state.close());
    await until(() => state.problem() === null, { what: 'a lease' });
    return state;
  };
  /** Declares a task. Gives its number. */
  const declared = async ({ state }: Authority): Promise<number> => {
    const n = next++;
    const nowMs = Date.now();
    const task = taskNumber(n, { createdAtMs: nowMs, lastUsedMs: nowMs, deadlineMs: nowMs + HOUR_MS });
    const token = { ...tokenNumber(n), issuedAtMs: nowMs, expiresAtMs: nowMs + HOUR_MS };
    expect(await state.authority.insertTask(task, token, [])).toBeNull();
    return n;
  };
  const watched = async (state: SidecarState, n: number): Promise<Watch> => {
    const use = await watch(state, n);
    closers.push(() => use.stop());
    return use;
  };
  // Each in a database of its own. They wait for leases, so they run concurrently.
  describe('the first of two authorities is gone', () => {
    afterAll(closeAll);

    it.concurrent(`${titleOf('D-08')}, and an end is refused at its sidecars too`, async () => {
      const name = await newDatabase('d08');
      const [one, two] = [await authority(name), await authority(name)];
      const [n, ended] = [await declared(one), await declared(one)];
      const state = await sidecar(one, two);
      const use = await watched(state, n);
      const other = await watched(state, ended);
      await one.serving.close();
      await until(() => two.serving.sidecars() === 1, { what: 'the sidecar is at the other authority' });
      // Longer than the lease that the first authority gave.
      await new Promise((resolve) => setTimeout(resolve, LEASE_MS));
      const denied = use.denied();
      const late = await lateAfterEnd(two, ended, [other]);
      seen('D-08', { 'looks that denied': denied, 'late uses': late });
      expect({ denied, late }).toEqual({ denied: 0, late: 0 });
    });

    it.concurrent(titleOf('D-06'), async () => {
      const name = await newDatabase('d06');
      const [one, two] = [await authority(name), await authority(name)];
      const [n, ended] = [await declared(one), await declared(one)];
      const state = await sidecar(one, two);
      const use = await watched(state, n);
      const other = await watched(state, ended);
      for (const proxy of one.database) proxy.set({ kind: 'held' });
      await until(() => two.serving.sidecars() === 1, { what: 'the sidecar is at the other authority' });
      await new Promise((resolve) => setTimeout(resolve, LEASE_MS));
      const denied = use.denied();
      const late = await lateAfterEnd(two, ended, [other]);
      seen('D-06', { 'looks that denied': denied, 'late uses': late });
      expect({ denied, late }).toEqual({ denied: 0, late: 0 });
      for (const proxy of one.database) proxy.heal();
    });
  });

  it(`${titleOf('D-01')}, and no use is allowed after it at any sidecar`, async () => {
    const [one, two] = [await authority(), await authority()];
    const [n, ended] = [await declared(one), await declared(one)];
    const sidecars = [await sidecar(one, two), await sidecar(two, one)];
    const uses = await Promise.all(sidecars.map((state) => watched(state, n)));
    const others = await Promise.all(sidecars.map((state) => watched(state, ended)));
    const old = cluster.primary;
    await cluster.nodes[old].kill();
    const ending = lateAfterEnd(two, ended, others);
    await failover(cluster);
    const late = await ending;
    await until(() => uses.every((use) => use.isAllowed()), { what: 'uses of other tasks are allowed' });
    const denied = Math.max(...uses.map((use) => use.longestDeniedMs()));
    seen('D-01', { 'late uses': late, 'ms between two allowed uses': Math.round(denied) });
    expect(late).toBe(0);
    await cluster.rejoin(old);
  });

  it(`${titleOf('D-03')}, and its sidecars deny at the end of their lease`, async () => {
    const leaseMs = 3_000;
    const one = await authority('postgres', leaseMs);
    const n = await declared(one);
    const state = await sidecar(one);
    const use = await watched(state, n);
    const cutMs = performance.now();
    cluster.isolate(cluster.primary);
    await until(() => !use.isAllowed(), { what: 'the lease ends' });
    const allowedMs = use.lastAllowedMs() - cutMs;
    cluster.heal();
    await until(() => use.isAllowed(), { what: 'a lease again' });
    seen('D-03', { 'ms of uses while cut off': Math.round(allowedMs) });
    // A beat that has begun before may still be answered.
    expect(allowedMs).toBeLessThanOrEqual(leaseMs);
  });
});
