import { describe, expect, it } from '@jest/globals';
import { deny, type Decision } from '../../src/core/decision/decision.ts';
import { trustDomainOf } from '../../src/core/identity/spiffe-id.ts';
import { foreignCallers } from '../../src/serve/foreign-callers.ts';
import type { FinishedCheck } from '../../src/core/telemetry/finished-check.ts';
import { mustSpiffeId } from '../builders/spiffe-id.ts';

const PLANNER = 'spiffe://acme.test/ns/agents/sa/planner';
const MESH = 'spiffe://cluster.local/ns/agents/sa/planner';

/** A call whose caller was refused, with what it showed of itself. */
const refused = (id: string, reason: 'identity.untrusted-domain' | 'identity.invalid'): FinishedCheck =>
  ({
    decision: deny(reason, ''),
    facts: { caller: deny(reason, ''), refusedCaller: { id, address: null } },
  }) as unknown as FinishedCheck;

/** A call with the planner's token by another caller. */
const borrowed = (id: string): FinishedCheck =>
  ({
    decision: deny('token.binding', ''),
    facts: {
      caller: { id, trustDomain: trustDomainOf(mustSpiffeId(id)) },
      credential: { kind: 'task-token', clientId: PLANNER },
    },
  }) as unknown as FinishedCheck;

const setUp = (trustDomains: readonly string[], proxyId: readonly string[] = []) => {
  const lines: string[] = [];
  const observe = foreignCallers({
    config: { trustDomains, extAuthz: { proxyId } },
    log: (line: string) => lines.push(line),
  } as unknown as Parameters<typeof foreignCallers>[0]);
  const times = (count: number, check: FinishedCheck): void => {
    for (let n = 0; n < count; n += 1) observe(check);
  };
  return { lines, observe, times };
};

// Issue 39, point 3.
describe('foreignCallers', () => {
  it.each([
    ['whose trust domain is not accepted', ['acme.test'], refused(MESH, 'identity.untrusted-domain')],
    ['of another proxy', ['acme.test'], refused(MESH, 'identity.invalid')],
    ['with tokens of agents of another trust domain', ['acme.test', 'cluster.local'], borrowed(MESH)],
  ])('reports once a trust domain %s', (_what, trustDomains, check) => {
    const { lines, times } = setUp(trustDomains);
    times(19, check);
    expect(lines).toEqual([]);
    times(500, check);
    expect(lines).toHaveLength(1);
    for (const part of ['warning: 20 calls', '`cluster.local`', '`acme.test`', '`meshConfig.trustDomain`'])
      expect(lines[0]).toContain(part);
  });

  it('tells of no thief of the own trust domain, of what is no SPIFFE ID, and of no allowed call', () => {
    const { lines, times } = setUp(['acme.test']);
    times(100, borrowed('spiffe://acme.test/ns/agents/sa/thief'));
    times(100, refused('CN=planner', 'identity.invalid'));
    times(100, refused('spiffe://acme.test/ns/agents/sa/planner', 'identity.invalid'));
    times(100, {
      ...borrowed(MESH),
      decision: { kind: 'allow', policyIds: [], observed: null } as unknown as Decision,
    });
    expect(lines).toEqual([]);
  });

  it('tells of 16 trust domains at most, however many an attacker shows', () => {
    const { lines, times } = setUp(['acme.test']);
    for (let n = 0; n < 100; n += 1) times(20, refused(`spiffe://d${n}.test/a`, 'identity.untrusted-domain'));
    expect(lines).toHaveLength(16);
  });

  it('tells at the start of a proxy of a trust domain that is not accepted', () => {
    expect(setUp(['acme.test'], ['spiffe://acme.test/ns/demo/sa/tools']).lines).toEqual([]);
    const { lines } = setUp(['acme.test'], ['spiffe://cluster.local/ns/demo/sa/tools']);
    expect(lines).toEqual([expect.stringMatching(/^warning: `extAuthz\.proxyId` is .*`cluster\.local`.*`meshConfig/)]);
  });
});
