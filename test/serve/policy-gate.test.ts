import { describe, expect, it } from '@jest/globals';
import type { ObserveEntry } from '../../src/core/policy/enforcement.ts';
import type { Order } from '../../src/core/order/order.ts';
import { Orders } from '../../src/core/order/orders.ts';
import { PolicyInForce } from '../../src/core/policy/policy-in-force.ts';
import type { PolicySet } from '../../src/core/policy/loading/load.ts';
import { storeFailure } from '../../src/core/runtime/store-failure.ts';
import { after } from '../../src/core/runtime/timers.ts';
import type { Gate } from '../../src/serve/admin/readiness.ts';
import { Drain } from '../../src/serve/drain.ts';
import { followGates } from '../../src/serve/gates.ts';
import { policyGate } from '../../src/serve/policy-gate.ts';
import { observeOrder } from '../builders/order.ts';
import { folderWith, mustLoad } from '../builders/policy-folder.ts';

const expiresAtMs = 1_000_000;
const nowMs = expiresAtMs + 10_000;
const later = nowMs + 1;
const EXPIRED = 'the policy set expired at 1970-01-01T00:16:40.000Z';

const entryUntil = (untilMs: number): ObserveEntry => ({
  id: 'legacy',
  agents: ['spiffe://acme.test/ns/legacy/*'],
  servers: null,
  untilMs,
  owner: 'us',
  because: 'CHG-1',
  place: { file: 'enforcement.yaml', line: 2, column: 5 },
});

interface Case {
  readonly observed?: readonly ObserveEntry[];
  readonly orders?: readonly Order[];
  /** Whether the lease of the sidecar is over. */
  readonly isLeaseOver?: boolean;
  readonly floorMs?: number;
  readonly hasChecks?: boolean;
  readonly isLoaded?: boolean;
}

/** The gate of a process whose policy set has expired. */
async function gateOf({
  observed = [],
  orders = [],
  isLeaseOver = false,
  floorMs = nowMs,
  hasChecks = true,
  isLoaded = true,
}: Case): Promise<Gate> {
  const loaded = await mustLoad(folderWith('@id("all") permit (principal, action, resource);'));
  const set: PolicySet = { ...loaded, expiresAtMs, observed };
  const ports = { nowMs: () => nowMs, monotonicMs: () => 0 };
  const policies = new PolicyInForce(async () => set, { ports, maxAgeMs: null });
  if (isLoaded) await policies.reload();
  const all = Orders.of(orders);
  const known = isLeaseOver ? all.staleBecause(storeFailure('busy', 'the lease is over')) : all;
  const states = { orders: () => known, clocks: () => ({ wallMs: nowMs, floorMs, monotonicMs: 0 }) };
  return policyGate({ policies, states, hasChecks });
}

const emergency = (untilMs: number): Order => observeOrder({ untilMs });

describe('the gate of the policies, once a set has expired', () => {
  it.each<[string, Case, string]>([
    ['an entry that has not ended', { observed: [entryUntil(later)] }, '`enforcement.yaml`'],
    ['an emergency in force', { orders: [emergency(later)] }, 'an emergency'],
    [
      'an emergency after the end of each entry',
      { observed: [entryUntil(nowMs)], orders: [emergency(later)] },
      'an emergency',
    ],
  ])('is waived by %s, and that is logged once', async (_what, given, by) => {
    const gate = await gateOf(given);
    expect(gate.problem()).toBeNull();
    const lines: (readonly [string, string | undefined])[] = [];
    const drain = new Drain(() => 0, after);
    const stop = followGates(null, { gates: [gate], drain, log: (text, event) => void lines.push([text, event]) });
    // Looks again.
    drain.onBegun();
    await stop();
    const waived = `gate waived: policies: ${EXPIRED}, but calls are observed by ${by}`;
    expect(lines).toEqual([
      [waived, 'gate-waived'],
      ['ready', 'ready'],
    ]);
  });

  it.each<[string, Case]>([
    ['if nothing is observed', {}],
    ['in a process without checks', { observed: [entryUntil(later)], orders: [emergency(later)], hasChecks: false }],
    ['with an entry that has ended', { observed: [entryUntil(nowMs)] }],
    ['with an entry that has ended by the floor alone', { observed: [entryUntil(later)], floorMs: later }],
    ['with an emergency that has ended', { orders: [emergency(nowMs)] }],
    ['with an emergency that may have been ended', { orders: [emergency(later)], isLeaseOver: true }],
  ])('is unmet %s', async (_what, given) => {
    const gate = await gateOf(given);
    expect([gate.problem(), gate.waived?.()]).toEqual([EXPIRED, null]);
  });

  it('is unmet before the first set, whatever is observed', async () => {
    const gate = await gateOf({ orders: [emergency(later)], isLoaded: false });
    expect([gate.problem(), gate.waived?.()]).toEqual(['no policy set is loaded', null]);
  });
});
