import { describe, expect, it } from '@jest/globals';
import { PolicyInForce } from '../../../src/core/policy/policy-in-force.ts';
import type { PolicySet } from '../../../src/core/policy/loading/load.ts';

const set = (hash: string, expiresAtMs: number | null = null, generation = 0) =>
  ({ hash, expiresAtMs, generation }) as PolicySet;
const finding = { file: 'a.cedar', line: 1, column: 1, message: 'wrong', help: null };

/** Policies that load one of these after the other, on a clock that is set. */
function following(loads: readonly (PolicySet | null)[], maxAgeMs: number | null = null) {
  const left = [...loads];
  const clock = { nowMs: 1_000_000, monotonicMs: 0 };
  const policies = new PolicyInForce(() => Promise.resolve(left.shift() ?? { findings: [finding] }), {
    ports: { nowMs: () => clock.nowMs, monotonicMs: () => clock.monotonicMs },
    maxAgeMs,
  });
  return { policies, clock };
}

describe('PolicyInForce', () => {
  it('denies before the first good set', async () => {
    const { policies } = following([null]);
    expect(policies.get()).toMatchObject({ reason: 'policy.unavailable' });
    expect(await policies.reload()).toEqual([finding]);
    expect(policies.get()).toMatchObject({ reason: 'policy.unavailable', detail: 'no policy set is loaded' });
    expect([policies.generation, policies.unconfirmedMs]).toEqual([0, null]);
  });

  it('keeps the last good set, and counts swaps', async () => {
    const { policies } = following([set('a'), null, set('b')]);
    await policies.reload();
    await policies.reload();
    expect([policies.get(), policies.generation]).toEqual([set('a', null, 1), 1]);
    expect(await policies.reload()).toEqual([]);
    expect([policies.get(), policies.generation]).toEqual([set('b', null, 2), 2]);
  });

  it('turns a load that throws into a finding, and loads again afterwards', async () => {
    const loads = [() => set('a'), () => Promise.reject(new Error('the worker died')), () => set('b')];
    const policies = new PolicyInForce(async () => (loads.shift() ?? (() => set('c')))(), {
      ports: { nowMs: () => 0, monotonicMs: () => 0 },
      maxAgeMs: null,
    });
    await policies.reload();
    expect(await policies.reload()).toMatchObject([{ message: 'the load failed: Error: the worker died' }]);
    expect(policies.get()).toEqual(set('a', null, 1));
    expect(await policies.reload()).toEqual([]);
    expect(policies.get()).toEqual(set('b', null, 2));
  });

  it('swaps no set for an equal set, and a set that expires later', async () => {
    const { policies } = following([set('a', 2_000_000), set('a', 2_000_000), set('a', 3_000_000)]);
    await policies.reload();
    const inForce = policies.get();
    await policies.reload();
    expect(policies.get()).toBe(inForce);
    await policies.reload();
    expect([policies.get(), policies.generation]).toEqual([set('a', 3_000_000, 2), 2]);
  });

  it('denies from the instant the set expires', async () => {
    const { policies, clock } = following([set('a', 1_000_500)]);
    await policies.reload();
    clock.nowMs = 1_000_499;
    expect(policies.get()).toEqual(set('a', 1_000_500, 1));
    clock.nowMs = 1_000_500;
    expect(policies.get()).toMatchObject({
      reason: 'policy.expired',
      detail: 'the policy set expired at 1970-01-01T00:16:40.500Z',
    });
    expect(policies.last).toEqual(set('a', 1_000_500, 1));
  });

  it('denies if its source has not confirmed the set for too long, until it does', async () => {
    const { policies, clock } = following([set('a'), null], 10_000);
    await policies.reload();
    clock.monotonicMs = 10_000;
    expect(policies.get()).toEqual(set('a', null, 1));
    clock.monotonicMs = 10_001;
    // A set that was refused confirms nothing.
    await policies.reload();
    expect(policies.get()).toMatchObject({
      reason: 'policy.stale',
      detail: 'the source of the policies has not confirmed them for 10 s',
    });
    expect(policies.last).toEqual(set('a', null, 1));
    policies.confirm();
    expect([policies.get(), policies.unconfirmedMs]).toEqual([set('a', null, 1), 0]);
  });

  it('runs reloads one at a time', async () => {
    const order: string[] = [];
    const waits: (() => void)[] = [];
    const policies = new PolicyInForce(
      async () => {
        order.push('begin');
        await new Promise<void>((resolve) => waits.push(resolve));
        order.push('end');
        return set(`${order.length}`);
      },
      { ports: { nowMs: () => 0, monotonicMs: () => 0 }, maxAgeMs: null },
    );
    const both = [policies.reload(), policies.reload()];
    await Promise.resolve();
    waits.shift()?.();
    await both[0];
    await Promise.resolve();
    waits.shift()?.();
    await both[1];
    expect(order).toEqual(['begin', 'end', 'begin', 'end']);
  });
});
