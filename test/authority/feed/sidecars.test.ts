import { statSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import type { SocketAccess } from '../../../src/core/runtime/system/unix-socket.ts';
import type { SidecarState } from '../../../src/sidecar/state/sidecar-state.ts';
import type { SidecarStateOptions } from '../../../src/sidecar/state/sidecar-state.ts';
import { causeOf } from '../../../src/core/task/cause.ts';
import { closedAfterEach } from '../../builders/with-closers.ts';
import { byOperator } from '../../builders/task.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { FaultProxy } from '../../fault-proxy.ts';
import { until } from '../../until.ts';
import { setTimeout as delay } from 'node:timers/promises';
import { endedIn } from '../../../src/core/state/share-users.ts';
import { Shares } from '../../../src/core/state/shares.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { after } from '../../../src/core/runtime/timers.ts';
import { must, mustFind } from '../../builders/must.ts';
import { digestOf, heldSvid, keyOf, serving, svidOf, trustDomain } from './serving.ts';
import type { Serving } from './serving.ts';
import { openSidecar } from '../../builders/sidecar-state.ts';

const folder = testFolders();
const closers = closedAfterEach();

async function authority(change: Parameters<typeof serving>[1] = {}): Promise<Serving> {
  const started = await serving(folder(), change);
  closers.push(() => started.close());
  return started;
}

function sidecar(targets: readonly string[], options: Partial<SidecarStateOptions> = {}) {
  const reported: { keys: unknown[]; problems: unknown[] } = { keys: [], problems: [] };
  const state = openSidecar(targets, {
    onKeys: (...keys) => reported.keys.push(keys),
    onProblem: (problem) => reported.problems.push(problem),
    ...options,
  });
  closers.push(() => state.close());
  return { state, reported };
}

/** A sidecar with a lease. */
async function readySidecar(...input: Parameters<typeof sidecar>) {
  const { state, reported } = sidecar(...input);
  await until(() => state.problem() === null, { what: 'a lease' });
  return { state, reported };
}

const ownGroup = (): number => process.getgid?.() ?? 0;
/** Root alone may take any group. */
const otherGroup = (): number => (process.getuid?.() === 0 ? 4_711 : ownGroup());
const lookAt = ({ states }: SidecarState, n: number) => states.of(keyOf(n), digestOf(n));
const useOf = (n: number, decision: number, limit: number) => ({
  decisionId: `0198c0de-0000-7000-8000-${String(decision).padStart(12, '0')}`,
  key: keyOf(n),
  jtiDigest: digestOf(n),
  spends: [{ kind: 'calls' as const, limit }],
});

describe('an authority on SQLite', () => {
  it('lets sidecars open a task; its end is refused at all of them once the receipt says so', async () => {
    const { targets, state, enforced, declared } = await authority();
    const sidecars = await Promise.all([1, 2, 3].map(() => readySidecar(targets)));
    const task = await declared(1);
    for (const { state: one } of sidecars) {
      await one.states.open(keyOf(1), digestOf(1));
      expect(lookAt(one, 1)).toMatchObject({ task: { state: 'active' }, issued: { revokedAtMs: null } });
    }
    await state.authority.applyTaskEvent(task, byOperator('cancel'), 'operator');
    expect(await enforced([task.id])).toEqual({ enforced: true, holders: 3, acknowledged: 3, fenced: 0 });
    for (const { state: one } of sidecars) expect(lookAt(one, 1)).toMatchObject({ task: { state: 'cancelled' } });
  });

  it('has no holder to wait for if nobody opened the task, once leases from before its start are over', async () => {
    const { enforced, declared, targets } = await authority({ leaseMs: 500 });
    await readySidecar(targets);
    const task = await declared(1);
    expect(await enforced([task.id])).toEqual({ enforced: true, holders: 0, acknowledged: 0, fenced: 0 });
  });

  it('waits no longer than lease and margin for a sidecar that is gone, and says that it was fenced', async () => {
    const { targets, state, enforced, declared } = await authority({ leaseMs: 1_000 });
    const { state: one } = await readySidecar(targets);
    const task = await declared(1);
    await one.states.open(keyOf(1), digestOf(1));
    one.close();
    await state.authority.applyTaskEvent(task, byOperator('suspend'), 'operator');
    expect(await enforced([task.id])).toEqual({ enforced: true, holders: 1, acknowledged: 0, fenced: 1 });
  });

  it('sums decimals of all sidecars exactly, and names the exceeded budget (issue 37, point 19)', async () => {
    const { targets, declared } = await authority();
    const [{ state: one }, { state: two }] = [await readySidecar(targets), await readySidecar(targets)];
    const detail = { type: 'urn:remit:task', locations: ['https://payments.acme.test'], actions: ['payments.create'] };
    const constraints = { max_amount: { argument: 'price', limit: '0.3' } };
    await declared(1, { detailsJson: JSON.stringify([{ ...detail, constraints }]) });
    for (const each of [one, two]) await each.states.open(keyOf(1), digestOf(1));
    const spends = [{ kind: 'decimal', name: 'price', amount: 1_000, limit: 3_000 }] as const;
    const settled = [];
    for (const [n, each] of [one, two, one, two].entries())
      settled.push(await each.settling.settle({ ...useOf(1, n, 7), spends }));
    const exhausted = { problem: 'exhausted', budget: { limit: 3_000, used: 3_000, decimal: true } };
    expect(settled).toEqual([null, null, null, exhausted]);
  });

  it('lets sidecars spend shares of one budget at once, never more than it has in all, and takes back what is left', async () => {
    const { targets, declared } = await authority();
    const patient = { answerMs: 60_000 };
    const [{ state: one }, { state: two }] = [
      await readySidecar(targets, patient),
      await readySidecar(targets, patient),
    ];
    await declared(1);
    for (const each of [one, two]) await each.states.open(keyOf(1), digestOf(1));
    const shares = [one, two].map(
      ({ settling }) => new Shares(settling, { ports: systemPorts, clocks: () => one.states.clocks(), after }),
    );
    const allowed = { share: 0, state: 0 };
    for (let n = 0; n < 700; n += 1) {
      const by = mustFind(shares[n % 2]);
      const use = useOf(1, n, 600);
      if (by.settleNow(use) !== null) allowed.share += 1;
      else if ((await by.settle(use)) === null) allowed.state += 1;
      // As checks do, each in a turn of its own.
      await delay(1);
    }
    expect(allowed.share).toBeGreaterThan(0);
    expect(allowed.share + allowed.state).toBeLessThanOrEqual(600);
    for (const each of shares) await each.close();
    // All that is left is given back: what was not allowed before is allowed now.
    let last = 700;
    const settled = () => one.settling.settle(useOf(1, (last += 1), 600));
    await until(
      async () => {
        if ((await settled()) === null) allowed.state += 1;
        return allowed.share + allowed.state === 600;
      },
      { what: '600 allowed uses' },
    );
    expect(await settled()).toMatchObject({ problem: 'exhausted' });
  });

  it('takes back what a sidecar holds of a task as soon as that hears of its end', async () => {
    const { targets, state, declared } = await authority();
    const held: Shares[] = [];
    const onEnded = (): void => held.forEach((each) => each.ended());
    const { state: one } = await readySidecar(targets, { answerMs: 60_000, onEnded });
    const task = await declared(1);
    await one.states.open(keyOf(1), digestOf(1));
    const { settling, states } = one;
    const shares = new Shares(settling, {
      ports: systemPorts,
      clocks: () => states.clocks(),
      // Nothing is given back because it lies idle.
      after: (delayMs, run) => (delayMs < 2_000 ? after(delayMs, run) : () => undefined),
      hasEnded: endedIn(states),
    });
    held.push(shares);
    // What is spent of a share stays lent.
    const lent = () => must(state.reader.loansOf(task)).reduce((sum, { amount }) => sum + amount, 0);
    let spent = 0;
    for (let n = 0; lent() === spent; n += 1) {
      const use = useOf(1, n, 600);
      if (shares.settleNow(use) !== null) spent += 1;
      else expect(await shares.settle(use)).toBeNull();
      await delay(5);
    }
    await state.authority.applyTaskEvent(task, byOperator('complete'), 'operator');
    await until(() => lent() === spent, { what: 'nothing is held' });
    await shares.close();
  });

  it('settles the uses of all sidecars from one budget, each once, and gives the state with a problem', async () => {
    const { targets, declared, state } = await authority();
    const [{ state: one }, { state: two }] = [await readySidecar(targets), await readySidecar(targets)];
    const task = await declared(1);
    for (const each of [one, two]) await each.states.open(keyOf(1), digestOf(1));
    const results = await Promise.all(
      Array.from({ length: 12 }, (_, n) => (n % 2 === 0 ? one : two).settling.settle(useOf(1, n, 7))),
    );
    expect(results.filter((result) => result === null)).toHaveLength(7);
    const exhausted = { problem: 'exhausted', budget: { limit: 7, used: 7 } };
    expect(results.filter((result) => result !== null)).toEqual(Array.from({ length: 5 }, () => exhausted));
    const again = results.indexOf(null);
    expect(await two.settling.settle(useOf(1, again, 7))).toBeNull();
    await state.authority.applyTaskEvent(task, byOperator('cancel'), 'operator');
    expect(await one.settling.settle(useOf(1, 99, 100))).toBe('ended');
    expect(lookAt(one, 1)).toMatchObject({ task: { state: 'cancelled' } });
  });

  it('sends keys, and the same digest key to all', async () => {
    let keys = [{ kid: 'one' }];
    const { targets, keysChanged, state } = await authority({ jwks: () => ({ keys }) });
    const { state: one, reported } = await readySidecar(targets);
    expect(reported.keys).toEqual([[keyOf(1).issuer, { keys: [{ kid: 'one' }] }]]);
    keys = [{ kid: 'two' }];
    keysChanged();
    await until(() => reported.keys.length === 2, { what: 'the new key' });
    expect(one.digestOf('secret')).toBe(state.reader.digestOf('secret'));
  });

  it('writes what sidecars report', async () => {
    const { targets, declared, state } = await authority();
    const { state: one } = await readySidecar(targets);
    const { lastUsedMs } = await declared(1, { idleMs: 60_000 });
    await declared(2);
    await one.states.open(keyOf(1), digestOf(1));
    const seen = { digest: 'd', kind: 'k', place: 'p', agent: 'a', action: 'x' };
    expect(await one.reports.writeSecrets([{ secret: seen, times: 3 }])).toBeNull();
    expect(state.reader.staticSecrets(9)).toMatchObject([{ ...seen, count: 3 }]);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await one.reports.touchTasks(new Map([[keyOf(1).id, Date.now() + 9_999_999]]))).toBeNull();
    const touched = await state.authority.taskOf(keyOf(1).issuer, keyOf(1).id);
    expect(touched).toMatchObject({ idleMs: 60_000 });
    const { lastUsedMs: usedMs = 0 } = touched as { lastUsedMs?: number };
    expect(usedMs).toBeGreaterThan(lastUsedMs);
    expect(usedMs).toBeLessThanOrEqual(Date.now());
  });

  it('tells a sidecar that opens a token where it was used before, and with what it was last seen', async () => {
    const { targets, declared } = await authority();
    await declared(1);
    await declared(2);
    const { state: one } = await readySidecar(targets);
    const { state: two } = await readySidecar(targets);
    const soFar = {
      uses: 3,
      last: { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) },
      allowed: {
        traces: [7],
        places: { address: '10.0.0.1', certificate: 'c', connections: [], servers: ['payments'], risks: ['low'] },
      },
    };
    expect(two.usesBefore(keyOf(1), digestOf(1))).toBeUndefined();
    expect(await one.reports.writeUses([{ jtiDigest: digestOf(1), ...soFar }])).toBeNull();
    await two.states.open(keyOf(1), digestOf(1));
    await two.states.open(keyOf(2), digestOf(2));
    expect(two.usesBefore(keyOf(1), digestOf(1))).toEqual(soFar);
    expect(two.usesBefore(keyOf(2), digestOf(2))).toBeNull();
  });

  it('still tells it after a change of the task, whose card says nothing of uses', async () => {
    const { targets, declared, state } = await authority();
    const task = await declared(1);
    const { state: one } = await readySidecar(targets);
    await one.reports.writeUses([{ jtiDigest: digestOf(1), uses: 3, last: null, allowed: null }]);
    await one.states.open(keyOf(1), digestOf(1));
    await state.authority.setRisk(task, 'high', causeOf('signal.risk-level-change'), 'operator');
    await until(() => (lookAt(one, 1) as { task?: { risk: string } }).task?.risk === 'high', { what: 'the change' });
    expect(one.usesBefore(keyOf(1), digestOf(1))).toMatchObject({ uses: 3 });
  });

  it.each<[string, SocketAccess | undefined, number, number]>([
    ['that only its user may open', undefined, 0o600, ownGroup()],
    ['that a group may open too', { mode: 0o660, groupId: otherGroup() }, 0o660, otherGroup()],
  ])('listens on a Unix socket %s', async (_who, socket, mode, group) => {
    const { targets } = await authority(socket === undefined ? {} : { socket });
    const stats = statSync((targets[0] ?? '').slice('unix:'.length));
    expect([stats.mode & 0o777, stats.gid]).toEqual([mode, group]);
  });

  it('as the only authority keeps its sidecars, and takes new sidecars, while it is about to stop', async () => {
    const { targets, declared, drain } = await authority();
    const { state: one } = await readySidecar(targets);
    await declared(1);
    const leaseUntilMs = (): number => performance.now() + one.measures().leaseLeftMs;
    const beforeMs = leaseUntilMs();
    drain(1);
    const { state: two } = await readySidecar(targets);
    await until(() => one.measures().isFollowing && leaseUntilMs() > beforeMs + 1, { what: 'a renewed lease' });
    for (const each of [one, two]) {
      await each.states.open(keyOf(1), digestOf(1));
      expect(lookAt(each, 1)).toMatchObject({ task: { state: 'active' } });
    }
  });
});

describe('an authority over mutual TLS', () => {
  it('renews its SVID without a lost stream, and serves new connections with it', async () => {
    const acme = await trustDomain('acme.test');
    const issued = () => acme.svid('/remit', { ips: ['127.0.0.1'] });
    const own = heldSvid(svidOf(await issued(), acme));
    const { targets, sidecars } = await authority({
      listen: [{ kind: 'tcp', host: '127.0.0.1', port: 0 }],
      svid: own,
    });
    const authorityId = own.current()?.id;
    if (authorityId === undefined) throw new Error('no svid');
    const tools = svidOf(await acme.svid('/ns/prod/sa/tools-1'), acme);
    const placeOf = (target: string) => ({ target, tls: { svid: tools, authorityId } });
    const { reported } = await readySidecar(targets, { placeOf });
    own.renew(svidOf(await issued(), acme));
    const { state: two } = await readySidecar(targets, { placeOf });
    expect(two.problem()).toBeNull();
    expect(sidecars()).toBe(2);
    expect(reported.problems.filter((problem) => problem !== null)).toEqual([]);
  });

  // Issue 37, point 13 (c): each handshake was given up after 2 s, so that none of them ever ended.
  it('is found also if a handshake takes longer than an answer is waited for', async () => {
    const acme = await trustDomain('acme.test');
    const own = heldSvid(svidOf(await acme.svid('/remit', { ips: ['127.0.0.1'] }), acme));
    const { targets } = await authority({
      listen: [{ kind: 'tcp', host: '127.0.0.1', port: 0 }],
      svid: own,
      leaseMs: 15_000,
    });
    const proxy = await FaultProxy.start(Number(targets[0]?.split(':')[1]));
    closers.push(() => proxy.close());
    // Of the 2 s, the handshake takes two round trips, and the answer one more.
    proxy.set({ kind: 'delay', ms: 700 });
    const authorityId = own.current()?.id;
    if (authorityId === undefined) throw new Error('no svid');
    const tools = svidOf(await acme.svid('/ns/prod/sa/tools-1'), acme);
    const { state } = await readySidecar([`127.0.0.1:${proxy.port}`], {
      placeOf: (target) => ({ target, tls: { svid: tools, authorityId } }),
    });
    expect(state.problem()).toBeNull();
  });
});
