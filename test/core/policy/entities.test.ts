import { describe, expect, it } from '@jest/globals';
import { authorize } from '../../../src/core/policy/authorize.ts';
import { issueQuestion } from '../../../src/core/policy/issue-question.ts';
import { baseSchema, findingsOf, folderWith, mustLoad } from '../../builders/policy-folder.ts';
import { unconstrained } from '../../../src/core/token/authorization-details.ts';
import { mustSpiffeId } from '../../builders/spiffe-id.ts';

const base = baseSchema
  .replace(
    'entity Agent in [TrustDomain, AgentGroup];',
    'entity Agent in [TrustDomain, AgentGroup] { owner?: Agent, limit?: decimal, zones?: Set<ipaddr>, home?: Place } tags Agent;',
  )
  .replace('entity Server;', 'entity Server; type Place = { net: ipaddr, n?: Long };');
const permit = '@id("p") permit (principal, action == Remit::Action::"issue", resource);\n';
const id = 'spiffe://acme.test/a';
const agent = (more: Readonly<Record<string, unknown>> = {}) => ({
  uid: { type: 'Remit::Agent', id },
  attrs: {},
  parents: [],
  ...more,
});
const group = (name: string, parent: string) => ({
  uid: { type: 'Remit::AgentGroup', id: name },
  attrs: {},
  parents: [{ type: 'Remit::AgentGroup', id: parent }],
});
const withAttrs = (attrs: unknown) => [agent({ attrs })];
const implicit = `p/e.cedarentities.json:1:2: the entity \`${id}\` has implicit entity or extension values`;

const found = (entities: string) => findingsOf(folderWith(permit, { entities }));

describe('entities are refused', () => {
  const rows: readonly (readonly [string, unknown, string])[] = [
    ['that are no list', {}, 'p/e.cedarentities.json:1:1: the entities must be a list'],
    ['that are no object', [1], 'p/e.cedarentities.json:1:2: an entity must be an object'],
    [
      'with an unknown member',
      [agent({ attributes: {} })],
      'p/e.cedarentities.json:1:2: unknown member `attributes` in an entity',
    ],
    ['without uid', [{ attrs: {}, parents: [] }], 'p/e.cedarentities.json:1:2: `uid` must be `{"type": …, "id": …}`'],
    [
      'without attributes',
      [agent({ attrs: undefined })],
      `p/e.cedarentities.json:1:2: \`attrs\` of \`${id}\` must be an object`,
    ],
    [
      'without parents',
      [agent({ parents: null })],
      `p/e.cedarentities.json:1:2: \`parents\` of \`${id}\` must be a list`,
    ],
    [
      'with a parent that is none',
      [agent({ parents: ['g'] })],
      `p/e.cedarentities.json:1:2: each of \`parents\` of \`${id}\` must be \`{"type": …, "id": …}\``,
    ],
    [
      'of an action',
      [agent({ uid: { type: 'Remit::Action', id: 'issue' } })],
      'p/e.cedarentities.json:1:2: the action `issue` belongs in the catalog',
    ],
    [
      'of an agent without SPIFFE ID',
      [agent({ uid: { type: 'Remit::Agent', id: 'planner' } })],
      'p/e.cedarentities.json:1:2: the agent `planner` has no SPIFFE ID: a spiffe id must begin with `spiffe://`',
    ],
    [
      'of an agent in a foreign trust domain',
      [agent({ parents: [{ type: 'Remit::TrustDomain', id: 'evil.test' }] })],
      `p/e.cedarentities.json:1:2: the agent \`${id}\` does not belong to the trust domain \`evil.test\``,
    ],
    [
      'given twice',
      [agent(), agent()],
      `p/e.cedarentities.json:1:86: the entity \`${id}\` is already at p/e.cedarentities.json:1`,
    ],
    ['of an unknown type', [agent({ uid: { type: 'Remit::Robot', id: 'x' } })], 'p/e.cedarentities.json:1:2: '],
    [
      'with an unknown attribute',
      withAttrs({ tier: 1 }),
      `p/e.cedarentities.json:1:2: error during entity deserialization: attribute \`tier\` on \`Remit::Agent::"${id}"\` should not exist according to the schema`,
    ],
    ['with an entity that is not written as such', withAttrs({ owner: { type: 'Remit::Agent', id } }), implicit],
    ['with an extension value that is not written as such', withAttrs({ limit: '1.5' }), implicit],
    ['with such a value in a set', withAttrs({ zones: ['10.0.0.1'] }), implicit],
    ['with such a value in a record', withAttrs({ home: { net: '10.0.0.1' } }), implicit],
    ['with such an entity in a tag', [agent({ tags: { t: { type: 'Remit::Agent', id } } })], implicit],
    ['in a circle', [group('a', 'b'), group('b', 'a')], 'p/e.cedarentities.json:1:1: '],
  ];
  it.each(rows)('%s', async (_name, entities, expected) => {
    expect(await findingsOf(folderWith(permit, { base, entities: JSON.stringify(entities) }))).toEqual([
      expect.stringContaining(expected),
    ]);
  });

  it('in text that is no strict JSON, with its place', async () => {
    expect(await found('[\n  { "uid": }\n]')).toEqual([
      expect.stringMatching(/^p\/e\.cedarentities\.json:\d:\d+: the file is not valid JSON$/),
    ]);
    expect(await found('[\n  { "uid": 1, "uid": 2 }\n]')).toEqual([
      'p/e.cedarentities.json:2:15: the file has a duplicate member name',
    ]);
  });
});

describe('entities are taken', () => {
  it('with values that are written out, and mean that to a policy', async () => {
    const attrs = {
      owner: { __entity: { type: 'Remit::Agent', id } },
      limit: { __extn: { fn: 'decimal', arg: '1.5' } },
      zones: [{ __extn: { fn: 'ip', arg: '10.0.0.1' } }],
      home: { net: { __extn: { fn: 'ip', arg: '10.0.0.1' } }, n: 1 },
    };
    const policy = `@id("p") permit (principal, action == Remit::Action::"issue", resource) when {
      principal has owner && principal.owner == principal && principal has limit && principal.limit == decimal("1.5") &&
      principal has zones && principal.zones.contains(ip("10.0.0.1")) && principal has home && principal.home.net.isLoopback() == false
    };`;
    const set = await mustLoad(folderWith(policy, { base, entities: JSON.stringify(withAttrs(attrs)) }));
    const server = set.catalog.servers.get('files');
    const principal = mustSpiffeId(id);
    if (server === undefined) throw new Error('no server');
    const question = issueQuestion(
      {
        agent: principal,
        server,
        purpose: '',
        actions: [],
        requested: { action: 'files.list', risk: 'low', constraints: unconstrained },
        ttlSeconds: 1,
        taskSeconds: 1,
        nowMs: 0,
      },
      set.catalog,
    );
    expect(authorize(set, question)).toEqual({ kind: 'allow', policyIds: ['p'], observed: null });
  });
});
