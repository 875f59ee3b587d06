import { readdirSync, readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { ArgumentSpec } from '../../../src/core/action/catalog/catalog.ts';
import { actionOf } from '../../../src/core/action/http/http.ts';
import type { ArgumentValue } from '../../../src/core/action/http/http.ts';
import { isDeny } from '../../../src/core/decision/decision.ts';
import { authorize } from '../../../src/core/policy/authorize.ts';
import { freshCedar } from '../../../src/core/policy/cedar.ts';
import { callFrom } from '../../../src/core/policy/engine.ts';
import { loadPolicies } from '../../../src/core/policy/loading/load.ts';
import type { PolicySet } from '../../../src/core/policy/loading/load.ts';
import { noHistory } from '../../../src/core/task/history.ts';
import type { TaskHistory } from '../../../src/core/task/history.ts';
import { unconstrained } from '../../../src/core/token/authorization-details.ts';
import { issueQuestion } from '../../../src/core/policy/issue-question.ts';
import { useQuestion } from '../../../src/core/policy/use-question.ts';
import type { Question } from '../../../src/core/policy/question.ts';
import type { UseFacts } from '../../../src/core/policy/use-question.ts';
import { anyCharacter } from '../../builders/any-character.ts';
import { must } from '../../builders/must.ts';
import { mustSpiffeId } from '../../builders/spiffe-id.ts';

let set: PolicySet;
beforeAll(async () => {
  const loaded = must(await loadPolicies('cedar-policies'));
  set = loaded;
});

const agentOf = (name: string) =>
  mustSpiffeId(name.includes('/') ? `spiffe://${name}` : `spiffe://acme.test/ns/agents/sa/${name}`);

interface Use {
  readonly args?: Readonly<Record<string, ArgumentValue>>;
  readonly purpose?: string;
  readonly ageSeconds?: number;
  readonly binding?: UseFacts['binding'];
  readonly history?: Partial<TaskHistory>;
  readonly reuse?: UseFacts['reuse'];
}

const NOW_MS = 1_800_000_000_123;

const approval = {
  name: 'approval',
  value: 'finance',
  by: 'spiffe://acme.test/ns/finance/sa/approvals',
  kind: 'writer',
} as const;

function use(
  agent: string,
  id: string,
  {
    args = {},
    purpose = 'pay the rent',
    ageSeconds = 60,
    binding = 'certificate',
    history = {},
    reuse = ['first'],
  }: Use = {},
): Question {
  const action = set.catalog.actions.get(id);
  if (action === undefined) throw new Error(`no action ${id}`);
  const { server, method, template } = action;
  return useQuestion(
    {
      call: { method, host: 'a.test', path: template },
      caller: { id: agentOf(agent) },
      credential: {
        kind: 'task-token',
        issuer: 'https://issuer.acme.test',
        keyId: 'k',
        audience: server.audience,
        subject: 'user',
        clientId: agentOf(agent),
        actors: [],
        issuedAtSeconds: 1_799_999_800,
        expiresAtSeconds: 1_800_000_100,
        tokenId: 'j'.repeat(16),
        taskId: '0198f7a2-4b7e-7000-8000-3f6b8e0d1c2a',
        scope: [id],
        details: [
          { type: 'urn:remit:task', locations: [server.audience], actions: [id], constraints: unconstrained, purpose },
        ],
        confirmation: { kind: 'x5t#S256', thumbprint: 'c'.repeat(43) },
        delegate: null,
        intentHash: 'sha-256:x',
        issuance: { traceId: '1'.repeat(32), spanId: '2'.repeat(16) },
        useKey: 'd',
      },
      task: {
        purpose,
        createdAtMs: NOW_MS - ageSeconds * 1000,
        risk: 'low',
        claimed: { model: 'm-1' },
        attested: [approval],
        subjectAttributes: {},
      },
      history: { ...noHistory, ...history },
      action: actionOf(action, { args: new Map(Object.entries(args)), isDecidedOnHeaders: true }),
      binding,
      use: 1,
      reuse,
      nowMs: NOW_MS,
    },
    set.catalog,
  );
}

function issue(agent: string, id: string, { purpose = 'pay the rent', taskSeconds = 900 } = {}): Question {
  const action = set.catalog.actions.get(id);
  if (action === undefined) throw new Error(`no action ${id}`);
  const requested = { action: id, risk: action.risk, constraints: unconstrained };
  return issueQuestion(
    {
      agent: agentOf(agent),
      server: action.server,
      purpose,
      actions: [id],
      requested,
      ttlSeconds: 300,
      taskSeconds,
      nowMs: NOW_MS,
    },
    set.catalog,
  );
}

const raised = (question: Question): Question => ({ ...question, context: { ...question.context, risk: 'high' } });

type Row = readonly [policy: string, what: string, question: () => Question, expected: string];

const permits: readonly Row[] = [
  ['issue-low-risk', 'the reporter a task that reads', () => issue('reporter', 'payments.list'), 'issue-low-risk'],
  ['issue-medium-risk', 'the planner a task that deletes', () => issue('planner', 'files.delete'), 'issue-medium-risk'],
  ['issue-high-risk', 'the planner a task that pays', () => issue('planner', 'payments.create'), 'issue-high-risk'],
  ['payments-read', 'the reporter to list', () => use('reporter', 'payments.list'), 'payments-read'],
  [
    'payments-read',
    'the reporter to read a payment',
    () => use('reporter', 'payments.read', { args: { id: '1' } }),
    'payments-read',
  ],
  [
    'payments-write',
    'the planner to pay',
    () => use('planner', 'payments.create', { args: { amount: 500, currency: 'EUR' } }),
    'payments-write',
  ],
  [
    'payments-write',
    'the planner to pay without a currency',
    () => use('planner', 'payments.create', { args: { amount: 500 } }),
    'payments-write',
  ],
  [
    'payments-write',
    'the planner to refund',
    () => use('planner', 'payments.refund', { args: { id: '1' } }),
    'payments-write',
  ],
  [
    'payments-read',
    'the planner to read one from another node',
    () => use('planner', 'payments.read', { args: { id: '1' }, reuse: ['other-node'] }),
    'payments-read',
  ],
  ['files-read', 'the reporter to list', () => use('reporter', 'files.list'), 'files-read'],
  [
    'files-read',
    'the reporter to read a file',
    () => use('reporter', 'files.read', { args: { name: 'plan.md' } }),
    'files-read',
  ],
  [
    'files-delete',
    'the planner to delete a draft',
    () => use('planner', 'files.delete', { args: { name: 'draft-1' } }),
    'files-delete',
  ],
  ['tickets-use', 'the reporter to open a session', () => use('reporter', 'tickets.mcp.session'), 'tickets-use'],
  [
    'tickets-use',
    'the reporter to look up a customer',
    () => use('reporter', 'tickets.search-customers', { args: { query: 'a' } }),
    'tickets-use',
  ],
  [
    'tickets-use',
    'the reporter to write a ticket for a team',
    () =>
      use('reporter', 'tickets.create', { args: { title: 'a', 'assigned-to': 'team-a', priority: 2, tags: ['b'] } }),
    'tickets-use',
  ],
];

const NONE = 'policy.not-permitted';
const denials: readonly Row[] = [
  ['issue-low-risk', 'an agent nobody knows', () => issue('thief', 'payments.list'), NONE],
  ['issue-medium-risk', 'the reporter', () => issue('reporter', 'files.delete'), NONE],
  ['issue-medium-risk', 'no purpose', () => issue('planner', 'files.delete', { purpose: '' }), NONE],
  ['issue-high-risk', 'the reporter', () => issue('reporter', 'payments.create'), NONE],
  ['issue-high-risk', 'no purpose', () => issue('planner', 'payments.create', { purpose: '' }), NONE],
  [
    'issue-high-risk',
    'more than a quarter of an hour',
    () => issue('planner', 'payments.create', { taskSeconds: 901 }),
    NONE,
  ],
  ['payments-read', 'an agent nobody knows', () => use('thief', 'payments.list'), NONE],
  ['payments-write', 'the reporter', () => use('reporter', 'payments.refund', { args: { id: '1' } }), NONE],
  ['payments-write', 'no purpose', () => use('planner', 'payments.refund', { args: { id: '1' }, purpose: '' }), NONE],
  [
    'payments-write',
    'an intent of yesterday',
    () => use('planner', 'payments.refund', { args: { id: '1' }, ageSeconds: 3601 }),
    NONE,
  ],
  [
    'payments-limit',
    'more than 500',
    () => use('planner', 'payments.create', { args: { amount: 501 } }),
    'policy.forbidden: payments-limit: payments above 500 need a person',
  ],
  [
    'payments-euro-only',
    'dollars',
    () => use('planner', 'payments.create', { args: { amount: 1, currency: 'USD' } }),
    'policy.forbidden: payments-euro-only: payments are made in EUR',
  ],
  ['files-read', 'an agent nobody knows', () => use('thief', 'files.list'), NONE],
  ['files-delete', 'another file', () => use('planner', 'files.delete', { args: { name: 'plan.md' } }), NONE],
  ['files-delete', 'the reporter', () => use('reporter', 'files.delete', { args: { name: 'draft-1' } }), NONE],
  [
    'files-private',
    'a private file',
    () => use('planner', 'files.read', { args: { name: 'private-1' } }),
    'policy.forbidden: files-private: private files are not for agents',
  ],
  [
    'customer-data-stays',
    'a payment after a look at customers',
    () =>
      use('planner', 'payments.create', {
        args: { amount: 500 },
        history: { version: 1, actions: ['tickets.search-customers'], labels: ['customer-data'] },
      }),
    'policy.forbidden: customer-data-stays: after reading customer data, nothing leaves the company',
  ],
  ['tickets-use', 'an agent nobody knows', () => use('thief', 'tickets.mcp.session'), NONE],
  [
    'tickets-urgent',
    'a ticket of priority 1',
    () => use('reporter', 'tickets.create', { args: { title: 'a', priority: 1 } }),
    'policy.forbidden: tickets-urgent: tickets of priority 1 are written by people',
  ],
  [
    'tickets-assignee',
    'a ticket for a person',
    () => use('reporter', 'tickets.create', { args: { title: 'a', 'assigned-to': 'ann' } }),
    'policy.forbidden: tickets-assignee: agents assign tickets to teams, not to people',
  ],
  [
    'risk-raised',
    'a raised risk',
    () => raised(use('planner', 'files.list')),
    'policy.forbidden: risk-raised: the risk of this agent is high at the moment',
  ],
  [
    'high-risk-bound',
    'a token bound to an id alone',
    () => use('planner', 'payments.refund', { args: { id: '1' }, binding: 'spiffe-id' }),
    'policy.forbidden: high-risk-bound: actions of high risk need a token bound to a certificate',
  ],
  [
    'high-risk-one-node',
    'a refund from another node than that of the first use',
    () => use('planner', 'payments.refund', { args: { id: '1' }, reuse: ['other-node', 'other-trace'] }),
    'policy.forbidden: high-risk-one-node: actions of high risk are taken where the token was first used',
  ],
  [
    'home-domain',
    'another trust domain',
    () => use('evil.test/ns/agents/sa/planner', 'files.list'),
    'policy.forbidden: home-domain: only agents of this trust domain act here',
  ],
  [
    'two of them',
    'both ids, the first advice',
    () => use('planner', 'payments.create', { args: { amount: 501, currency: 'USD' } }),
    'policy.forbidden: payments-euro-only,payments-limit: payments are made in EUR',
  ],
];

describe('the example policies', () => {
  it.each(permits)('%s permits %s', (_policy, _what, question, expected) => {
    expect(authorize(set, question())).toEqual({ kind: 'allow', policyIds: [expected], observed: null });
  });

  it.each(denials)('%s denies %s', (_policy, _what, question, expected) => {
    const decision = authorize(set, question());
    if (!isDeny(decision)) throw new Error('allowed');
    const { reason, policyIds, advice } = decision;
    expect(policyIds.length === 0 ? reason : `${reason}: ${policyIds.join(',')}: ${advice}`).toBe(expected);
  });

  it('are each both obeyed and tested', () => {
    const texts = readdirSync('cedar-policies/policies').map((name) =>
      readFileSync(`cedar-policies/policies/${name}`, 'utf8'),
    );
    const ids = texts.flatMap((text) => [...text.matchAll(/^@id\("(.*)"\)$/gm)].map((match) => match[1] ?? ''));
    const tested = new Set([...permits, ...denials].map(([policy]) => policy));
    expect(ids.filter((id) => !tested.has(id) && !set.shadowIds.includes(id))).toEqual([]);
    expect(ids).toHaveLength(set.policyCount + set.shadowIds.length);
  });

  it('leave the trial policy out of force, at any hour', () => {
    expect(set.shadowIds).toEqual(['night-freeze']);
    const question = use('planner', 'payments.refund', { args: { id: '1' } });
    const midnight = { ...question.context, now: { __extn: { fn: 'datetime', arg: '2027-01-15T00:00:00Z' } } };
    expect(authorize(set, { ...question, context: midnight })).toMatchObject({ kind: 'allow' });
  });
});

describe('useQuestion and issueQuestion', () => {
  it('are valid by the generated schema, whatever the caller sends', () => {
    const cedar = freshCedar();
    cedar.preparseSchema('s', set.schema);
    cedar.preparsePolicySet('p', { staticPolicies: {} });
    const text = fc.string({ unit: anyCharacter }).filter((value) => value.isWellFormed());
    const values: Readonly<Record<ArgumentSpec['type'], fc.Arbitrary<ArgumentValue>>> = {
      string: fc.oneof(text, fc.constant('{"__entity":{"type":"Remit::Agent","id":"x"}}')),
      long: fc.maxSafeInteger(),
      bool: fc.boolean(),
      decimal: fc.integer({ min: 0, max: 9999 }).map((value) => ({ decimal: `${value}.5` })),
      strings: fc.array(text),
    };
    const question = fc.constantFrom(...set.catalog.actions.values()).chain((action) =>
      fc
        .record(Object.fromEntries(action.args.map(({ name, type }) => [name, values[type]])), {
          requiredKeys: action.args.filter(({ required }) => required).map(({ name }) => name),
        })
        .map((args) => ({ id: action.id, args })),
    );
    fc.assert(
      fc.property(question, text, fc.integer({ min: -5000, max: 1e9 }), ({ id, args }, purpose, ageSeconds) => {
        const given = Object.fromEntries(
          Object.entries(args).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
        );
        for (const asked of [
          use('planner', id, { args: given, purpose, ageSeconds }),
          issue('planner', id, { purpose }),
        ]) {
          const { principal, action, resource, context } = callFrom(asked, [], new Map());
          const call = {
            principal,
            action,
            resource,
            context,
            entities: [],
            preparsedPolicySetId: 'p',
            preparsedSchemaName: 's',
            validateRequest: true,
          };
          expect(cedar.statefulIsAuthorized(call)).toMatchObject({ type: 'success' });
        }
      }),
      { numRuns: 300 },
    );
  });

  it('say what is known, in whole seconds', () => {
    expect(use('planner', 'payments.create', { args: { amount: 5 } })).toMatchObject({
      principal: 'spiffe://acme.test/ns/agents/sa/planner',
      action: 'payments.create',
      endpoint: 'POST /v1/payments',
      context: {
        intent: { purpose: 'pay the rent', actions: ['payments.create'], ageSeconds: 60 },
        subject: 'user',
        actors: [],
        credential: {
          kind: 'task-token',
          binding: 'certificate',
          scope: ['payments.create'],
          secondsLeft: 100,
          uses: 1,
          reuse: ['first'],
        },
        claimed: ['model=m-1'],
        attested: [{ name: 'approval', value: 'finance', by: approval.by }],
        task: { actions: [], labels: [] },
        labels: ['external'],
        request: { method: 'POST', host: 'a.test', path: '/v1/payments' },
        risk: 'low',
        now: { __extn: { fn: 'datetime', arg: '2027-01-15T08:00:00Z' } },
        args: { amount: 5 },
      },
    });
  });
});
