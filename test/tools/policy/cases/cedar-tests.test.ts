import { beforeAll, describe, expect, it } from '@jest/globals';
import type { PolicySet } from '../../../../src/core/policy/loading/load.ts';
import { rawAsker } from '../../../../src/tools/policy/cases/raw-question.ts';
import { cedarTestProblems, cedarTestsFrom } from '../../../../src/tools/policy/cases/cedar-tests.ts';
import { examplePolicies, findingLines } from './folder.ts';

let set: PolicySet;
beforeAll(async () => {
  set = await examplePolicies();
});

const agent = 'Remit::Agent::"spiffe://acme.test/a"';
const context = {
  intent: { purpose: '', actions: [] },
  requested: { action: 'files.list', risk: 'low', constraints: { singleUse: false } },
  ttlSeconds: 1,
  taskSeconds: 1,
  subject: '',
  actors: [],
  claimed: [],
  attested: [],
  risk: 'low',
  now: { __extn: { fn: 'datetime', arg: '2026-01-01' } },
  time: { office: { weekday: 4, minuteOfDay: 60, date: { __extn: { fn: 'datetime', arg: '2026-01-01' } } } },
  subjectAttributes: {},
};
const entities = [
  {
    uid: { type: 'Remit::Agent', id: 'spiffe://acme.test/a' },
    attrs: {},
    parents: [
      { type: 'Remit::AgentGroup', id: 'agents' },
      { type: 'Remit::TrustDomain', id: 'acme.test' },
    ],
  },
  { uid: { type: 'Remit::Action', id: 'issue' }, attrs: {}, parents: [] },
];
const request = { principal: agent, action: 'Remit::Action::"issue"', resource: 'Remit::Server::"files"', context };
const test = { name: 'a', request, entities, decision: 'allow', reason: ['issue-low-risk'], num_errors: 0 };

function outcome(change: object): readonly string[] {
  const read = cedarTestsFrom(JSON.stringify([{ ...test, ...change }]), 't');
  if ('findings' in read) return findingLines(read.findings);
  const ask = rawAsker(set);
  return read.flatMap((one) => cedarTestProblems(one, ask(one.question)));
}

describe('cedarTestsFrom', () => {
  const rows: readonly (readonly [string, object, readonly unknown[]])[] = [
    ['passes what is so', {}, []],
    ['asks for no more reasons than are named', { reason: [] }, []],
    ['passes a denial', { decision: 'deny', entities: [], reason: ['home-domain'] }, []],
    ['fails on another decision', { decision: 'deny' }, ['expected deny, got allow']],
    ['fails on a reason that is missing', { reason: ['issue-low-risk', 'b'] }, ['missing reason(s): `b`']],
    ['fails on errors that do not come', { num_errors: 1 }, ['expected 1 error(s), but got 0 runtime error(s)']],
    [
      'fails on a context that the schema does not have',
      { request: { ...request, context: {} } },
      [expect.stringContaining('context')],
    ],
    [
      'fails on an entity in a circle',
      {
        entities: [
          { uid: { type: 'Remit::AgentGroup', id: 'a' }, attrs: {}, parents: [{ type: 'Remit::AgentGroup', id: 'a' }] },
        ],
      },
      [expect.stringContaining('cycle')],
    ],
    [
      'refuses a principal that is no entity',
      { request: { ...request, principal: 'planner' } },
      ['t:1:1: test 0 has no principal of the form `Type::"id"`'],
    ],
    [
      'refuses an action with more than a name',
      { request: { ...request, action: 'A::"b" || C::"d"' } },
      ['t:1:1: test 0 has no action of the form `Type::"id"`'],
    ],
    ['refuses an unknown member', { reasons: [] }, ['t:1:1: test 0 has an unknown member `reasons`']],
    [
      'refuses entities in another file',
      { entities: 'entity.json' },
      ['t:1:1: test 0 member `entities` must be a list of entities: file names are not supported'],
    ],
    [
      'refuses another decision',
      { decision: 'Allow' },
      ['t:1:1: test 0 member `decision` must be one of `allow`, `deny`'],
    ],
  ];
  it.each(rows)('%s', (_name, change, expected) => {
    expect(outcome(change)).toEqual(expected);
  });

  it('names a test by its place if it has no name', () => {
    const { name: _name, ...rest } = test;
    expect(cedarTestsFrom(JSON.stringify([rest]), 't')).toMatchObject([{ name: 'test 0', file: 't', line: 1 }]);
  });

  it.each([
    ['what is no JSON', '[', 't:1:1: the file is not valid JSON'],
    ['what is no list', '{}', 't:1:1: the tests must be a list'],
  ])('refuses %s', (_name, text, message) => {
    const read = cedarTestsFrom(text, 't');
    expect('findings' in read && findingLines(read.findings)).toEqual([message]);
  });
});
