import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { systemPorts } from '../../../src/runtime/ports.ts';
import { digestOf, keyOf, serving } from '../../authority/serving.ts';
import { byOperator } from '../../builders/task.ts';
import { scratch } from '../../builders/scratch.ts';
import { until } from '../../until.ts';
import { LEASE_MS, startFleet, type Fleet, type Watch } from './fleet.ts';
import { seen, titleOf } from './rows.ts';

const { folder, remove } = scratch();
afterAll(remove);

describe('failure matrix: sidecars', () => {
  let fleet: Fleet;
  beforeEach(async () => {
    fleet = await startFleet(folder());
    await fleet.authority.declared(1);
  });
  afterEach(() => fleet.close());

  const end = () => fleet.authority.state.authority.applyTaskEvent(keyOf(1), byOperator('cancel'), 'operator');
  /** Ends task 1 and waits for the receipt. Gives how late the last use was allowed after it, and how long it took. */
  const enforced = async (watches: readonly Watch[]) => {
    await end();
    const committedMs = performance.now();
    const receipt = await fleet.authority.enforced([keyOf(1).id]);
    const enforcedMs = performance.now();
    // Looks after the receipt.
    await new Promise((resolve) => setTimeout(resolve, 100));
    return {
      receipt,
      ms: Math.round(enforcedMs - committedMs),
      late: watches.filter((watch) => watch.lastAllowedMs() > enforcedMs).length,
    };
  };

  it(titleOf('D-09'), async () => {
    const { state, watch } = await fleet.sidecar();
    const use = await watch(1);
    const goneMs = performance.now();
    await fleet.authority.close();
    expect(use.isAllowed()).toBe(true);
    const spends = [{ kind: 'calls', limit: 9, count: 1 }] as const;
    const decisionId = '0198c0de-0000-7000-8000-000000000001';
    expect(await state.settling.settle({ decisionId, key: keyOf(1), jtiDigest: digestOf(1), spends })).toMatchObject({
      kind: 'store-failure',
    });
    await until(() => !use.isAllowed(), { what: 'the lease ends' });
    const allowedMs = use.lastAllowedMs() - goneMs;
    seen('D-09', { 'ms of uses without an authority': Math.round(allowedMs), 'lease, ms': LEASE_MS });
    expect(allowedMs).toBeLessThanOrEqual(LEASE_MS);
  });

  it.each([
    { how: 'held', hold: { kind: 'held' } },
    { how: 'held on the way to it alone', hold: { kind: 'held' }, direction: 'down' },
  ] as const)(`${titleOf('D-10')}, $how`, async ({ hold, ...rest }) => {
    const [cut, other] = [await fleet.sidecar(), await fleet.sidecar()];
    const watches = [await cut.watch(1), await other.watch(1)];
    const [atCut] = watches;
    const cutMs = performance.now();
    cut.proxy.set(hold, ...('direction' in rest ? [rest.direction] : []));
    const { receipt, late, ms } = await enforced(watches);
    await until(() => atCut?.isAllowed() === false);
    const allowedMs = (atCut?.lastAllowedMs() ?? Infinity) - cutMs;
    seen('D-10', {
      'ms until an end was enforced': ms,
      'ms of uses while cut off': Math.round(allowedMs),
      'late uses': late,
    });
    expect(receipt).toEqual({ enforced: true, holders: 2, acknowledged: 1, fenced: 1 });
    expect(late).toBe(0);
    expect(allowedMs).toBeLessThanOrEqual(LEASE_MS);

    cut.proxy.heal();
    await until(() => cut.state.problem() === null, { what: 'a lease again' });
    expect(atCut?.isAllowed()).toBe(false);
  });

  it.each([
    { off: 'an hour fast', ms: 3_600_000 },
    { off: 'an hour slow', ms: -3_600_000 },
  ])(`${titleOf('D-12')}, $off`, async ({ ms: offMs }) => {
    const { watch, proxy } = await fleet.sidecar({ ports: { ...systemPorts, nowMs: () => Date.now() + offMs } });
    const use = await watch(1);
    const { receipt, late, ms } = await enforced([use]);
    expect(receipt).toEqual({ enforced: true, holders: 1, acknowledged: 1, fenced: 0 });
    await fleet.authority.declared(2);
    const second = await watch(2);
    const cutMs = performance.now();
    proxy.set({ kind: 'held' });
    await until(() => !second.isAllowed());
    const allowedMs = second.lastAllowedMs() - cutMs;
    seen('D-12', {
      'ms until an end was enforced': ms,
      'ms of uses while cut off': Math.round(allowedMs),
      'late uses': late,
    });
    expect(late).toBe(0);
    expect(allowedMs).toBeLessThanOrEqual(LEASE_MS);
  });

  it(titleOf('D-13'), async () => {
    const [slow, other] = [await fleet.sidecar(), await fleet.sidecar()];
    for (let n = 2; n < 40; n += 1) {
      await fleet.authority.declared(n);
      await slow.state.states.open(keyOf(n), digestOf(n));
    }
    const watches = [await slow.watch(1), await other.watch(1)];
    slow.proxy.set({ kind: 'slow', bytesPerSecond: 100 }, 'down');
    // Much for the slow one to read.
    for (let n = 2; n < 40; n += 1)
      await fleet.authority.state.authority.applyTaskEvent(keyOf(n), byOperator('cancel'), 'operator');
    const { receipt, late, ms } = await enforced(watches);
    seen('D-13', { 'ms until an end was enforced': ms, 'late uses': late });
    expect(receipt).toEqual({ enforced: true, holders: 2, acknowledged: 1, fenced: 1 });
    expect(late).toBe(0);
    expect(other.state.problem()).toBeNull();
  });
});

it(titleOf('D-11'), async () => {
  const authority = await serving(folder(), { leaseMs: LEASE_MS });
  await authority.declared(1);
  const sidecar = spawn(process.execPath, [join(import.meta.dirname, 'stopped-sidecar.ts'), ...authority.targets], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  try {
    const lines: string[] = [];
    createInterface({ input: sidecar.stdout }).on('line', (line) => lines.push(line));
    await until(() => lines.length === 1);
    sidecar.stdin.write('\n');
    await until(() => lines.length === 2);
    sidecar.kill('SIGSTOP');
    await authority.state.authority.applyTaskEvent(keyOf(1), byOperator('revoke'), 'operator');
    const receipt = await authority.enforced([keyOf(1).id]);
    // Asked before it goes on: the answer is the first thing that it says, after the looks that were due.
    sidecar.stdin.write('\n\n');
    sidecar.kill('SIGCONT');
    await until(() => lines.length === 4);
    sidecar.stdin.write('\n');
    await until(() => lines.length === 5);
    seen('D-11', { 'late uses': lines.slice(3).filter((line) => line === 'true').length });
    expect(receipt).toEqual({ enforced: true, holders: 1, acknowledged: 0, fenced: 1 });
    // Before it was stopped, and not since.
    expect(lines).toEqual(['ready true', 'true', 'true', 'false', 'false']);
  } finally {
    sidecar.kill('SIGKILL');
    await authority.close();
  }
});
