import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { actionFrom } from '../../../src/core/action/action.ts';
import { decide } from '../../../src/core/decide/decide.ts';
import { heldWhileObserved } from '../../../src/core/decide/held-while-observed.ts';
import { enforce } from '../../../src/core/decide/enforce.ts';
import type { CallFacts } from '../../../src/core/decide/facts.ts';
import { deny, isDeny } from '../../../src/core/decision/decision.ts';
import type { Decision } from '../../../src/core/decision/decision.ts';
import { reasons } from '../../../src/core/decision/reasons.ts';
import type { StopOrder } from '../../../src/core/order/order.ts';
import { Orders } from '../../../src/core/order/orders.ts';
import type { PolicySet } from '../../../src/core/policy/loading/load.ts';
import { storeFailure } from '../../../src/core/runtime/store-failure.ts';
import { workloadIdentity } from '../../../src/core/token/credential.ts';
import { mustCatalog } from '../../builders/catalog.ts';
import {
  accepting,
  action,
  agent,
  answering,
  caller,
  change,
  external,
  facts,
  nowMs,
  rules,
  server,
  token,
} from '../../builders/decided-call.ts';
import { httpCall } from '../../builders/http-call.ts';
import { stopOrder } from '../../builders/order.ts';
import { mustSpiffeId } from '../../builders/spiffe-id.ts';

const parent = 'spiffe://acme.test/ns/agents/sa/boss';
const alice = { ...token, subject: 'alice', actors: [agent, parent] };
const stops = (...orders: readonly Partial<StopOrder>[]): Orders => Orders.of(orders.map((order) => stopOrder(order)));
const all = { kind: 'all', what: '' } as const;

const catalog = mustCatalog(`servers:
  payments:
    hosts: [payments.acme.test]
    audience: https://payments.acme.test
    routes:
      - { action: payments.list, method: GET, path: /v1/payments, risk: low }
    mcp:
      path: /mcp
      tools:
        pay: { action: payments.pay, risk: low, args: { amount: { type: long } } }
`);
const withCatalog = { ...answering({ kind: 'permitted', policyIds: ['p'] }), catalog } as PolicySet;

describe('a stop', () => {
  it.each<[string, Partial<StopOrder>, Partial<CallFacts>, string]>([
    ['everything', all, {}, 'stopped.all'],
    ['the caller', { kind: 'agent', what: agent }, {}, 'stopped.agent'],
    ['a pattern of callers', { kind: 'agent', what: 'spiffe://acme.test/ns/agents/*' }, {}, 'stopped.agent'],
    ['the server', { kind: 'server', what: 'payments' }, {}, 'stopped.server'],
    ['the action', { kind: 'action', what: 'payments.list' }, {}, 'stopped.action'],
    [
      'an action that the call can also be read as',
      { kind: 'action', what: 'payments.x' },
      { action: { ...action, further: [{ ...action, id: 'payments.x' }] } },
      'stopped.action',
    ],
    ['the user', { kind: 'user', what: 'alice' }, { credential: alice }, 'stopped.user'],
    [
      'the user by an issuer, of whom the task knows no issuer',
      { kind: 'user', what: 'https://idp.acme.test alice' },
      { credential: alice },
      'stopped.user',
    ],
    [
      'an agent above in the chain of delegation',
      { kind: 'agent', what: parent },
      { credential: alice },
      'stopped.agent',
    ],
    [
      'the agent on whose behalf another agent works',
      { kind: 'agent', what: parent },
      { credential: { ...token, subject: parent, actors: [agent] } },
      'stopped.agent',
    ],
    [
      'the user of an external token',
      { kind: 'user', what: 'https://idp.acme.test alice' },
      { credential: external, action: accepting('external-token') },
      'stopped.user',
    ],
    [
      'the agent as the client of an external token',
      { kind: 'agent', what: parent },
      { credential: { ...external, clientId: parent }, action: accepting('external-token') },
      'stopped.agent',
    ],
    [
      'the caller without a token',
      { kind: 'agent', what: agent },
      { credential: workloadIdentity, action: accepting('workload-identity') },
      'stopped.agent',
    ],
  ])('of %s denies', (_what, stop, changed, reason) => {
    expect(decide(change({ ...changed, orders: stops(stop) }), rules)).toMatchObject({ kind: 'deny', reason });
    expect(reasons).toMatchObject({ [reason]: { httpStatus: 403, challenge: null, next: 'stop', retryable: false } });
  });

  it.each<[string, Partial<StopOrder>, Partial<CallFacts>]>([
    ['another agent', { kind: 'agent', what: parent }, {}],
    ['another server', { kind: 'server', what: 'crm' }, {}],
    ['another action', { kind: 'action', what: 'payments.create' }, {}],
    ['another user', { kind: 'user', what: 'bob' }, { credential: alice }],
    [
      'a user of that name at another issuer',
      { kind: 'user', what: 'https://other.test alice' },
      { credential: external, action: accepting('external-token') },
    ],
    ['the caller, until now', { kind: 'agent', what: agent, untilMs: nowMs }, {}],
  ])('of %s does not', (_what, stop, changed) => {
    expect(decide(change({ ...changed, orders: stops(stop) }), rules)).toEqual(decide(change(changed), rules));
  });

  it('names its id, its operator and its cause to the record, and nothing of them to the client', () => {
    const denial = decide(change({ orders: stops({ ...all, because: 'INC-42' }) }), rules);
    expect(denial).toEqual(
      deny('stopped.all', 'stop `00000000000000aa` by `spiffe://acme.test/ns/people/sa/operator`: INC-42'),
    );
  });

  it('is not named to a caller without an identity, and that of a user not to a caller with a stolen token', () => {
    const noIdentity = deny('identity.missing', 'no certificate');
    expect(decide(change({ caller: noIdentity, orders: stops(all) }), rules)).toBe(noIdentity);
    const stolen = { caller: { ...caller, certificateSha256: 'e'.repeat(43) }, credential: alice };
    const orders = stops({ kind: 'user', what: 'alice' });
    expect(decide(change({ ...stolen, orders }), rules)).toMatchObject({ reason: 'token.binding' });
  });

  it('beats an answer that is cached: the policies are not asked', () => {
    const asked: string[] = [];
    const policies = { ...answering({ kind: 'permitted', policyIds: ['p'] }), ask: () => asked.push('x') } as never;
    expect(decide(change({ orders: stops(all) }), { ...rules, policies })).toMatchObject({ reason: 'stopped.all' });
    expect(asked).toEqual([]);
  });

  it.each<[string, Partial<CallFacts>, Partial<StopOrder>, string]>([
    [
      'an unknown path of a server',
      { call: httpCall({ path: '/nothing' }) },
      { kind: 'server', what: 'payments' },
      'stopped.server',
    ],
    [
      'a tool with arguments that cannot be read',
      {
        call: httpCall({
          method: 'POST',
          path: '/mcp',
          headers: new Map([['content-type', ['application/json']]]),
          body: Buffer.from(
            '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"amount":"x"}}}',
          ),
        }),
      },
      { kind: 'action', what: 'payments.pay' },
      'stopped.action',
    ],
    [
      'a request that cannot be read',
      {
        call: deny('request.malformed', ''),
        caller: deny('request.malformed', ''),
        credential: deny('request.malformed', ''),
        seen: { caller, host: 'payments.acme.test' },
      },
      { kind: 'agent', what: agent },
      'stopped.agent',
    ],
    [
      'a request that cannot be read, at a server',
      {
        call: deny('request.malformed', ''),
        caller: deny('request.malformed', ''),
        credential: deny('request.malformed', ''),
        seen: { caller: deny('identity.missing', ''), host: 'payments.acme.test' },
      },
      { kind: 'server', what: 'payments' },
      'stopped.server',
    ],
    [
      'no identity',
      { caller: deny('identity.missing', ''), credential: deny('identity.missing', '') },
      all,
      'stopped.all',
    ],
    [
      'a task whose state is not available',
      { credential: alice, task: deny('task.state-unavailable', '') },
      { kind: 'user', what: 'alice' },
      'stopped.user',
    ],
  ])('holds while observing for %s, whose own denial would pass', (_what, changed, stop, reason) => {
    const given = change({ ...changed, orders: stops(stop) });
    const { call } = given;
    const read = isDeny(call) ? call : actionFrom(call, catalog);
    const observed = { ...given, action: 'kind' in read && read.kind === 'deny' ? read : given.action };
    expect(heldWhileObserved(observed, { ...rules, policies: withCatalog })).toMatchObject({ reason });
    expect(heldWhileObserved({ ...observed, orders: Orders.none }, { ...rules, policies: withCatalog })).toBeNull();
  });

  it('leaves what is not known to be stopped to a denial, if later stops may be missing', () => {
    const stale = Orders.none.staleBecause(storeFailure('busy', 'the lease is over'));
    const alone = { credential: workloadIdentity, action: accepting('workload-identity') };
    for (const changed of [{}, alone, { credential: external, action: accepting('external-token') }]) {
      const decision = decide(change({ ...changed, orders: stale }), rules);
      expect(decision).toMatchObject({ reason: 'task.state-unavailable', detail: 'the lease is over' });
    }
  });

  const user = fc.constantFrom('alice', 'bob', String(agent), parent);
  const stop = fc.record({
    kind: fc.constantFrom('all', 'agent', 'user', 'server', 'action'),
    untilMs: fc.constantFrom(null, nowMs - 1, nowMs + 1),
    at: fc.nat({ max: 3 }),
  });
  const names = {
    all: ['', '', '', ''],
    agent: [agent, parent, 'spiffe://acme.test/ns/agents/*', 'spiffe://other.test/x'],
    user: ['alice', 'bob', 'https://idp.acme.test alice', 'https://other.test bob'],
    server: ['payments', 'crm', 'x', 'y'],
    action: ['payments.list', 'payments.create', 'x', 'y'],
  } as const;
  const stopped = stop.map(({ kind, untilMs, at }) => stopOrder({ kind, untilMs, what: names[kind][at] ?? '' }));
  const calls = fc.record({
    caller: fc.constantFrom(agent, mustSpiffeId(parent)),
    subject: user,
    credential: fc.constantFrom('task', 'external', 'none'),
    problem: fc.constantFrom('none', 'policy', 'task', 'action', 'secret'),
  });

  it('is never passed by a caller whom it concerns, enforced or observed, and changes nothing for others: for random calls', () => {
    fc.assert(
      fc.property(calls, fc.array(stopped, { maxLength: 4 }), (given, list) => {
        const isTask = given.credential === 'task';
        const subject = given.credential === 'none' ? null : given.subject;
        const asked = given.caller === agent ? { ...caller } : { ...caller, id: given.caller };
        const carried = {
          task: {
            ...token,
            clientId: asked.id,
            subject: given.subject,
            actors: given.subject === asked.id ? [] : [asked.id],
          },
          external: { ...external, subject: given.subject },
          none: workloadIdentity,
        }[given.credential as 'task'];
        const problems: Partial<CallFacts> = {
          none: {},
          policy: {},
          task: { task: deny('task.state-unavailable', '') },
          action: { action: deny('action.arguments', '') },
          secret: { secrets: [{ kind: 'api-key', where: 'header', name: 'x', digest: 'd', sha256: 's' }] },
        }[given.problem] as Partial<CallFacts>;
        const without = change({
          caller: asked,
          credential: carried,
          action: { ...accepting('task-token', 'external-token', 'workload-identity') },
          ...(isTask
            ? { task: { ...(facts.task as object), agent: asked.id } as CallFacts['task'] }
            : { task: undefined }),
          ...problems,
        });
        const by = {
          ...rules,
          policies:
            given.problem === 'policy'
              ? ({ ...withCatalog, ask: () => ({ kind: 'not-permitted' }) } as never)
              : withCatalog,
        };
        const answer = (orders: Orders): readonly Decision[] => {
          const decided = decide({ ...without, orders }, by);
          const passing = isDeny(decided) ? (heldWhileObserved({ ...without, orders }, by) ?? decided) : decided;
          return [decided, enforce(passing, observing)];
        };
        const agents = [asked.id, ...(given.credential === 'none' ? [] : [given.subject])];
        const of = { agents, subject, issuer: isTask ? null : external.issuer };
        const held = list.filter((order) => concerns(order, of));
        const [enforced, observed] = answer(Orders.of(list));
        if (held.length === 0) {
          expect([enforced, observed]).toEqual(answer(Orders.none));
          return;
        }
        expect(enforced).toMatchObject({ kind: 'deny' });
        expect(observed).toMatchObject({ kind: 'deny', reason: expect.stringMatching(/^stopped\./) });
      }),
    );
  });
});

const observing = {
  id: 'legacy',
  agents: ['*'],
  servers: null,
  untilMs: nowMs + 1,
  owner: 'us',
  because: 'CHG-1',
  place: { file: 'enforcement.yaml', line: 2, column: 5 },
};

/** What it says, in the words of the contract. */
const concerns = (
  { kind, what, untilMs }: StopOrder,
  of: { agents: string[]; subject: string | null; issuer: string | null },
) => {
  if (untilMs !== null && untilMs <= nowMs) return false;
  if (kind === 'all') return true;
  if (kind === 'server' || kind === 'action') return what === server.id || what === action.id;
  if (kind === 'agent')
    return of.agents.some((id) => id === what || (what.endsWith('/*') && id.startsWith(what.slice(0, -1))));
  const [name = '', by = ''] = what.split(' ').toReversed();
  return name === of.subject && (by === '' || of.issuer === null || by === of.issuer);
};
