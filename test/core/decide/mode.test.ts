import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { actionFrom } from '../../../src/core/action/action.ts';
import { modeOf } from '../../../src/core/decide/mode.ts';
import type { CallFacts } from '../../../src/core/decide/facts.ts';
import { deny } from '../../../src/core/decision/decision.ts';
import type { Caller } from '../../../src/core/identity/caller.ts';
import type { ObserveOrder } from '../../../src/core/order/order.ts';
import { Orders } from '../../../src/core/order/orders.ts';
import type { ObserveEntry } from '../../../src/core/policy/enforcement.ts';
import { observeOrder, stopOrder } from '../../builders/order.ts';
import { storeFailure } from '../../../src/core/runtime/store-failure.ts';
import { mustCatalog } from '../../builders/catalog.ts';
import { httpCall } from '../../builders/http-call.ts';
import { mustSpiffeId, mustTrustDomain } from '../../builders/spiffe-id.ts';

const catalog = mustCatalog(`servers:
  tools:
    hosts: [tools.acme.test]
    audience: https://tools.acme.test
    routes:
      - { action: items.read, method: GET, path: /items, risk: low }
  crm:
    hosts: [shared.acme.test]
    paths: [/crm]
    audience: https://shared.acme.test/crm
    routes:
      - { action: crm.read, method: GET, path: /crm/people, risk: low }
`);
const nowMs = Date.parse('2026-12-01T00:00:00Z');
const entry = (changed: Partial<ObserveEntry> = {}): ObserveEntry => ({
  id: 'legacy',
  agents: ['spiffe://acme.test/ns/legacy/*'],
  servers: null,
  untilMs: nowMs + 1,
  owner: 'us',
  because: 'CHG-1',
  place: { file: 'enforcement.yaml', line: 2, column: 5 },
  ...changed,
});
const callerOf = (id: string): Caller => ({
  id: mustSpiffeId(id),
  trustDomain: mustTrustDomain('acme.test'),
  source: 'peer',
  certificateSha256: null,
  certificateNotAfterMs: null,
});
const legacy = callerOf('spiffe://acme.test/ns/legacy/batch');
const nobody = deny('identity.missing', 'no certificate');
type Facts = Parameters<typeof modeOf>[0];
const to = (host: string, path = '/items', changed: Partial<Facts> = {}): Facts => {
  const call = httpCall({ host, path });
  return {
    call,
    caller: legacy,
    action: actionFrom(call, catalog),
    orders: Orders.none,
    nowMs,
    floorMs: nowMs,
    ...changed,
  };
};
const modeIn = (facts: Facts, ...observed: readonly ObserveEntry[]): string | null =>
  modeOf(facts, { observed, catalog })?.id ?? null;
const unread = deny('request.body-incomplete', 'a part of the body was sent to the check');
const refused = (seen?: CallFacts['seen']): Facts => ({
  call: unread,
  caller: unread,
  action: unread,
  orders: Orders.none,
  nowMs,
  floorMs: nowMs,
  ...(seen === undefined ? {} : { seen }),
});

const fitsAgent = (named: readonly string[] | null, id: string | null): boolean =>
  named === null
    ? id === null
    : id !== null &&
      named.some(
        (one) => one === '*' || new RegExp(`^${one.replace(/\/\*$/, '/.+').replaceAll('*', '[^/]*')}$`).test(id),
      );

describe('modeOf', () => {
  it.each<[string, Facts, Partial<ObserveEntry>, boolean]>([
    ['its agent, at every server', to('anywhere.test'), {}, true],
    [
      'an agent of its namespace with the ID of a pod',
      to('anywhere.test', '/', { caller: callerOf('spiffe://acme.test/ns/legacy/sa/batch') }),
      {},
      true,
    ],
    [
      'any agent of its trust domain',
      to('tools.acme.test'),
      { agents: ['spiffe://acme.test/*'], servers: ['tools'] },
      true,
    ],
    [
      'not what a pattern names only in part: the namespace itself',
      to('anywhere.test', '/', { caller: callerOf('spiffe://acme.test/ns/legacy') }),
      {},
      false,
    ],
    [
      'not what lies deeper than a star within the path',
      to('anywhere.test', '/', { caller: callerOf('spiffe://acme.test/ns/legacy/sa/batch') }),
      { agents: ['spiffe://acme.test/ns/*/batch'] },
      false,
    ],
    ['another agent', to('tools.acme.test', '/items', { caller: callerOf('spiffe://acme.test/ns/new/a') }), {}, false],
    [
      'the same path in another domain',
      to('a.test', '/', { caller: callerOf('spiffe://evil.test/ns/legacy/a') }),
      {},
      false,
    ],
    ['every agent', to('tools.acme.test'), { agents: ['*'], servers: ['tools'] }, true],
    ['its server', to('tools.acme.test'), { servers: ['tools'] }, true],
    ['a route that the catalog lacks', to('tools.acme.test', '/other'), { servers: ['tools'] }, true],
    ['another server', to('tools.acme.test'), { servers: ['crm'] }, false],
    ['a host that the catalog lacks', to('old.test'), { servers: ['old.test'] }, true],
    ['a host below a suffix', to('a.b.old.test'), { servers: ['*.old.test'] }, true],
    ['the suffix itself', to('old.test'), { servers: ['*.old.test'] }, false],
    ['a host that ends like it', to('bold.test'), { servers: ['*.old.test', 'old.test'] }, false],
    ['the host of a server of the catalog', to('tools.acme.test'), { servers: ['tools.acme.test'] }, false],
    ['a path of no server at a shared host', to('shared.acme.test', '/x'), { servers: ['shared.acme.test'] }, true],
    ['a lookalike path of its server', to('shared.acme.test', '/CRM/people'), { servers: ['crm'] }, false],
    [
      'a caller that is not verified',
      to('tools.acme.test', '/items', { caller: nobody }),
      { agents: ['*'], servers: ['tools'] },
      false,
    ],
    ['no identity', to('tools.acme.test', '/items', { caller: nobody }), { agents: null, servers: ['tools'] }, true],
    ['an identity, by an entry for those without', to('tools.acme.test'), { agents: null, servers: ['tools'] }, false],
    ['the end', to('a.test'), { untilMs: nowMs }, false],
    ['a clock that was set back over the end', to('a.test', '/', { floorMs: nowMs + 1 }), {}, false],
    [
      'a request that was refused when it was read',
      refused({ caller: legacy, host: 'tools.acme.test' }),
      { servers: ['tools'] },
      true,
    ],
    [
      'such a request of another agent',
      refused({ caller: nobody, host: 'tools.acme.test' }),
      { servers: ['tools'] },
      false,
    ],
    [
      'such a request without a host',
      refused({ caller: legacy, host: null }),
      { servers: ['tools', '*.acme.test'] },
      false,
    ],
    [
      'such a request to a host that the catalog lacks',
      refused({ caller: legacy, host: 'old.test' }),
      { servers: ['old.test'] },
      true,
    ],
    ['a request of which nothing is known', refused(), {}, false],
  ])('%s', (_name, facts, changed, isCovered) => {
    expect(modeIn(facts, entry(changed))).toBe(isCovered ? 'legacy' : null);
  });

  it('names the first entry of the file that covers the call', () => {
    const first = entry({ id: 'first', servers: ['crm'] });
    expect(modeIn(to('tools.acme.test'), first, entry(), entry({ id: 'third' }))).toBe('legacy');
  });

  it('observes nothing without a policy set', () => {
    expect(modeOf(to('a.test'), deny('policy.unavailable', 'no policies are loaded'))).toBeNull();
  });

  const emergency = (changed: Partial<ObserveOrder> = {}): ObserveOrder =>
    observeOrder({
      madeAtMs: nowMs - 1_000,
      untilMs: nowMs + 1,
      agents: ['spiffe://acme.test/ns/legacy/*'],
      ...changed,
    });
  const inForce = (order: ObserveOrder, changed: Partial<Facts> = {}): Facts =>
    to('tools.acme.test', '/items', { orders: Orders.of([order, stopOrder()]), ...changed });

  // Issue 41, point 7.
  it.each<[string, Facts, boolean]>([
    ['its agent, at every server', inForce(emergency()), true],
    ['every agent at its server', inForce(emergency({ agents: ['*'], servers: ['tools'] })), true],
    ['every agent at another server', inForce(emergency({ agents: ['*'], servers: ['crm'] })), false],
    ['another agent', inForce(emergency({ agents: ['spiffe://acme.test/ns/new/*'] })), false],
    [
      'a caller that is not verified',
      inForce(emergency({ agents: ['*'], servers: ['tools'] }), { caller: nobody }),
      false,
    ],
    ['the end', inForce(emergency({ untilMs: nowMs })), false],
    ['a clock that was set back over the end', inForce(emergency(), { floorMs: nowMs + 1 }), false],
    ['a clock that is ahead of the floor, over the end', inForce(emergency(), { nowMs: nowMs + 1 }), false],
    ['the operator who gave the order', inForce(emergency({ by: legacy.id })), false],
    [
      'orders of which later orders may be missing',
      inForce(emergency(), {
        orders: Orders.of([emergency()]).staleBecause(storeFailure('busy', 'the lease is over')),
      }),
      false,
    ],
  ])('by an emergency: %s', (_name, facts, isCovered) => {
    expect(modeIn(facts)).toBe(isCovered ? emergency().id : null);
  });

  it('names an entry of the file before an emergency', () => {
    expect(modeIn(inForce(emergency()), entry())).toBe('legacy');
    expect(modeOf(inForce(emergency()), deny('policy.unavailable', 'no policies are loaded'))).toBeNull();
  });

  it('covers a call only by an entry or an emergency whose agents, servers and end all fit: for random entries and calls', () => {
    const agents = [
      'spiffe://acme.test/ns/legacy/sa/a',
      'spiffe://acme.test/ns/legacy/a',
      'spiffe://acme.test/ns/new/a',
      'spiffe://other.test/ns/legacy/a',
    ];
    const patterns = [...agents, 'spiffe://acme.test/ns/legacy/*', 'spiffe://acme.test/ns/*/a', '*'];
    const hosts = ['tools.acme.test', 'shared.acme.test', 'old.test', 'a.old.test'];
    const names = ['tools', 'crm', 'old.test', '*.old.test', 'tools.acme.test'];
    const anyEntry = fc.record({
      agents: fc.option(fc.uniqueArray(fc.constantFrom(...patterns), { minLength: 1 })),
      servers: fc.option(fc.uniqueArray(fc.constantFrom(...names), { minLength: 1 })),
      untilMs: fc.integer({ min: nowMs - 2, max: nowMs + 2 }),
    });
    const anyEmergency = fc.record({
      agents: fc.uniqueArray(fc.constantFrom(...patterns), { minLength: 1 }),
      servers: fc.option(fc.uniqueArray(fc.constantFrom(...names), { minLength: 1 })),
      untilMs: fc.integer({ min: nowMs - 2, max: nowMs + 2 }),
      by: fc.constantFrom(...agents, 'spiffe://acme.test/ns/people/sa/operator'),
    });
    const serverOf: Readonly<Record<string, readonly string[]>> = {
      'tools.acme.test': ['tools'],
      'shared.acme.test': [],
      'old.test': ['old.test'],
      'a.old.test': ['*.old.test'],
    };
    fc.assert(
      fc.property(
        fc.array(anyEntry, { maxLength: 4 }),
        fc.array(anyEmergency, { maxLength: 3 }),
        fc.option(fc.constantFrom(...agents)),
        fc.constantFrom(...hosts),
        fc.integer({ min: nowMs - 3, max: nowMs + 3 }),
        (entries, emergencies, id, host, floorMs) => {
          const observed = entries.map((one, at) => entry({ ...one, id: `e${at}` }));
          const orders = emergencies.map((one, at) => emergency({ ...one, id: `${at}`.padStart(16, '0') }));
          const caller = id === null ? nobody : callerOf(id);
          const fits = (one: Pick<ObserveEntry, 'agents' | 'servers' | 'untilMs'>): boolean =>
            Math.max(nowMs, floorMs) < one.untilMs &&
            fitsAgent(one.agents, id) &&
            (one.servers === null || (serverOf[host] ?? []).some((name) => one.servers?.includes(name)));
          const wanted = observed.find(fits) ?? orders.find((one) => one.by !== id && fits(one));
          const facts = to(host, '/items', { caller, floorMs, orders: Orders.of(orders) });
          expect(modeIn(facts, ...observed)).toBe(wanted?.id ?? null);
        },
      ),
      { numRuns: 1_000 },
    );
  });
});
