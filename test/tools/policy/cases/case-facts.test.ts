import { beforeAll, describe, expect, it } from '@jest/globals';
import { decide } from '../../../../src/core/decide/decide.ts';
import { isDeny } from '../../../../src/core/decision/decision.ts';
import type { PolicySet } from '../../../../src/core/policy/loading/load.ts';
import { scopeOf } from '../../../../src/authority/issuer/token/token-claims.ts';
import { AUTHORIZATION_DETAILS_TYPE, unconstrained } from '../../../../src/core/token/authorization-details.ts';
import { caseFacts } from '../../../../src/tools/policy/cases/case-facts.ts';
import { plainCircumstances, plainCredential, plainTask } from '../../../../src/tools/policy/cases/test-case.ts';
import type { CaseCircumstances, WrittenCall } from '../../../../src/tools/policy/cases/test-case.ts';
import { examplePolicies, planner } from './folder.ts';

let set: PolicySet;
beforeAll(async () => {
  set = await examplePolicies();
});

const list: WrittenCall = {
  method: 'GET',
  url: 'https://Payments.acme.test:443/v1/payments?a=b',
  headers: [],
  body: null,
};
const of = (change: Partial<CaseCircumstances> = {}, call = list) =>
  caseFacts(call, { ...plainCircumstances(planner), ...change }, set.catalog);

describe('caseFacts', () => {
  it('parses the request like a check request', () => {
    const { call, action } = of();
    expect(call).toMatchObject({
      method: 'GET',
      scheme: 'https',
      host: 'payments.acme.test',
      port: 443,
      path: '/v1/payments',
      query: 'a=b',
      body: null,
    });
    expect(action).toMatchObject({ id: 'payments.list' });
  });

  it('sends a body whole, with its length', () => {
    const body = Buffer.from('{}');
    const { call } = of({}, { ...list, method: 'POST', headers: [['Content-Type', 'application/json']], body });
    if (isDeny(call)) throw new Error(call.detail);
    expect(call.headers.get('content-length')).toEqual(['2']);
    expect(call.body).toEqual(body);
  });

  it('makes a consistent token, task and state', () => {
    const facts = of({ task: { ...plainTask, subject: 'ann' } });
    expect(facts).toMatchObject({
      caller: { id: planner, source: 'peer' },
      credential: {
        kind: 'task-token',
        clientId: planner,
        subject: 'ann',
        actors: [planner],
        audience: 'https://payments.acme.test',
      },
      task: { agent: planner, subject: 'ann', state: 'active' },
      use: 1,
      reuse: ['first'],
    });
    expect(decide(facts, { binding: 'certificate', policies: set })).toMatchObject({ kind: 'allow' });
  });

  it('grants only the servers of the actions', () => {
    const { credential } = of({ task: { ...plainTask, actions: ['files.*', 'tickets.create'] } });
    expect(credential).toMatchObject({
      details: [{ locations: ['https://files.acme.test', 'https://tickets.acme.test'] }],
    });
  });

  // Issue 55: it was empty, so that a policy about it was tested by tokens that no issuer makes.
  it.each<[string, Partial<CaseCircumstances>, readonly string[]]>([
    ['the action of the call', {}, ['payments.list']],
    [
      'all granted actions, each once',
      { task: { ...plainTask, actions: ['tickets.create', 'payments.list', 'tickets.create'] } },
      ['tickets.create', 'payments.list'],
    ],
    [
      'the actions of all details',
      {
        task: {
          ...plainTask,
          details: ['payments.list', 'payments.create', 'payments.list'].map((id) => ({
            type: AUTHORIZATION_DETAILS_TYPE,
            locations: ['https://payments.acme.test'],
            actions: [id],
            constraints: unconstrained,
            purpose: 'test',
          })),
        },
      },
      ['payments.list', 'payments.create'],
    ],
    ['what the case says', { credential: { ...plainCredential, scope: ['a'] } }, ['a']],
    ['nothing, if the case says so', { credential: { ...plainCredential, scope: [] } }, []],
    ['nothing of an external token', { credential: { ...plainCredential, kind: 'external-token' } }, []],
  ])('the scope of the token is %s', (_name, change, scope) => {
    expect(of(change).credential).toMatchObject({ scope });
  });

  it('has the scope that the issuer gives to a token of the same grant, families resolved', () => {
    const granted = [...set.catalog.actions.values()].filter(({ id }) => id.startsWith('payments.'));
    const { credential } = of({ task: { ...plainTask, actions: ['payments.*'] } });
    expect(credential).toMatchObject({ scope: scopeOf({ intent: { actions: granted } }).split(' ') });
  });

  it('classifies a later use as `same-trace` by default', () => {
    expect(of({ credential: { ...plainCredential, uses: 2 } })).toMatchObject({ use: 2, reuse: ['same-trace'] });
  });

  it('has no token, use or task for a workload identity', () => {
    const facts = of({ credential: { ...plainCredential, kind: 'workload-identity' } });
    expect(facts).toMatchObject({ credential: { kind: 'workload-identity' }, use: 0, reuse: [] });
    expect(facts.task).toBeUndefined();
  });
});
