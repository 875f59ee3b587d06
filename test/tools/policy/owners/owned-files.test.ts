import { describe, expect, it } from '@jest/globals';
import { ownedFileFindings } from '../../../../src/tools/policy/owners/owned-files.ts';
import { unownedFiles } from '../../../../src/tools/policy/owners/ownership.ts';
import { ownersFrom } from '../../../../src/tools/policy/owners/owners-file.ts';
import { folderWith, mustLoad } from '../../../builders/policy-folder.ts';

const { owners } = ownersFrom(
  `owners:
  - team: platform
    reviewers: ['@acme/platform']
    paths: [actions.yaml, a.cedar, owners.yaml, entities/platform.cedarentities.json]
    servers: ['*']
    actions: ['*']
    agents: ['*']
  - team: crm
    reviewers: ['@acme/crm']
    paths: [actions/crm.yaml, e.cedarentities.json]
    servers: [crm, leads]
    actions: ['crm.*']
    agents: ['spiffe://acme.test/ns/crm/*']
    groups: [sellers]
  - team: docs
    reviewers: ['@acme/docs']
    paths: [entities/docs.cedarentities.json]
    servers: ['*']
    actions: ['docs.*']
    agents: ['*']
`,
  'owners.yaml',
);

const PERMIT = '@id("a") permit (principal, action, resource);';

const crm = ({ id = 'crm', host = 'crm.acme.test', path = '/crm', action = 'crm.read', more = '' } = {}): string =>
  `servers:
  ${id}:
    hosts: [${host}]
    paths: [${path}]
    audience: https://${id}.acme.test
    routes:
      - { method: GET, path: ${path}/v1, risk: low, action: ${action} }
${more}`;

async function ofCatalog(text: string): Promise<readonly string[]> {
  const set = await mustLoad(folderWith(PERMIT, { catalogs: { 'crm.yaml': text } }));
  return ownedFileFindings(owners, set).map(
    ({ file, line, column, message }) => `${file}:${line}:${column}: ${message}`,
  );
}

const uid = (type: string, id: string) => ({ type: `Remit::${type}`, id });
const SELLER = 'spiffe://acme.test/ns/crm/sa/seller';

const entitiesOf = (entity: object, parents: readonly object[]) =>
  JSON.stringify([{ uid: entity, attrs: {}, parents }]);

async function ofEntities(entity: { readonly type: string; readonly id: string }, ...parents: readonly object[]) {
  const entities = entitiesOf(entity, parents);
  const set = await mustLoad(folderWith(PERMIT, { entities, catalogs: { 'crm.yaml': crm() } }));
  return ownedFileFindings(owners, set).map(({ line, message }) => `${line}: ${message}`);
}

describe('ownedFileFindings', () => {
  it('lets a team define its servers and actions (issue 43, point 2)', async () => {
    expect(await ofCatalog(crm())).toEqual([]);
    expect(await ofCatalog(crm({ more: '    attributes: { action: payments.create }\n' }))).toEqual([]);
  });

  it.each([
    [
      'another server',
      crm({ id: 'erp', host: 'erp.acme.test' }),
      'actions/crm.yaml:2:3: the team `crm` may not speak of the server `erp`',
    ],
    [
      'an action that is not of its family',
      crm({ action: 'payments.read-all' }),
      'actions/crm.yaml:7:58: the team `crm` may not speak of the action `payments.read-all`',
    ],
    [
      'a path of the host of another server, whose calls it would take',
      crm({ host: 'payments.acme.test', path: '/admin' }),
      'actions/crm.yaml:2:3: the team `crm` may not speak of `/admin` of the host `payments.acme.test`, which is of the server `payments`',
    ],
    [
      'the session of an MCP server, which the file does not name',
      crm({
        id: 'leads',
        host: 'leads.acme.test',
        path: '/leads',
        action: 'crm.leads',
        more: '    mcp: { path: /leads/mcp, tools: { find: { action: crm.find, risk: low } } }\n',
      }),
      'actions/crm.yaml:2:3: the team `crm` may not speak of the action `leads.mcp.session`',
    ],
    [
      'time zones, which all servers share',
      crm({ more: 'timeZones: { shop: UTC }\n' }),
      'actions/crm.yaml:8:1: the team `crm` may not speak of `timeZones`, which all servers share',
    ],
  ])('refuses %s in its file of the catalog', async (_what, text, message) => {
    expect(await ofCatalog(text)).toEqual([`p/${message}`]);
  });

  it.each([
    ['an agent of its own in its group', uid('Agent', SELLER), [uid('AgentGroup', 'sellers')]],
    ['its group', uid('AgentGroup', 'sellers'), []],
    ['its endpoint', uid('Endpoint', 'crm:GET /crm/v1'), [uid('Server', 'crm')]],
  ])('lets a team define %s', async (_what, entity, parents) => {
    expect(await ofEntities(entity, ...parents)).toEqual([]);
  });

  it.each([
    [
      'an agent of others',
      uid('Agent', 'spiffe://acme.test/ns/erp/sa/a'),
      [],
      'Remit::Agent::"spiffe://acme.test/ns/erp/sa/a"',
    ],
    [
      'its agent in a group of others, which have rights',
      uid('Agent', SELLER),
      [uid('AgentGroup', 'payers')],
      'Remit::AgentGroup::"payers"',
    ],
    ['a group of others', uid('AgentGroup', 'payers'), [], 'Remit::AgentGroup::"payers"'],
    [
      'an endpoint of others',
      uid('Endpoint', 'files:GET /v1/files'),
      [uid('Server', 'crm')],
      'Remit::Endpoint::"files:GET /v1/files"',
    ],
    [
      'its endpoint at a server of others',
      uid('Endpoint', 'crm:GET /crm/v1'),
      [uid('Server', 'files')],
      'Remit::Server::"files"',
    ],
  ])('refuses %s in its file of entities', async (_what, entity, parents, name) => {
    expect(await ofEntities(entity, ...parents)).toEqual([`1: the team \`crm\` may not speak of \`${name}\``]);
  });
});

it.each([
  // Its policies may be about all agents, but a group of others has rights to actions that are not its own.
  ['docs', ['the team `docs` may not speak of `Remit::AgentGroup::"payers"`']],
  ['platform', []],
])('ownedFileFindings holds membership of a group to all rights of the team %s', async (team, messages) => {
  const set = await mustLoad(
    folderWith(PERMIT, { entities: entitiesOf(uid('Agent', SELLER), [uid('AgentGroup', 'payers')]) }),
  );
  const entities = set.source.entities.map((file) => ({ ...file, name: `entities/${team}.cedarentities.json` }));
  const found = ownedFileFindings(owners, { ...set, source: { ...set.source, entities } });
  expect(found.map(({ message }) => message)).toEqual(messages);
});

describe('unownedFiles', () => {
  it('names each file of the catalog that no team owns', async () => {
    const set = await mustLoad(folderWith(PERMIT, { catalogs: { 'crm.yaml': crm(), 'new.yaml': 'servers: {}' } }));
    expect(unownedFiles(owners, set.source).map(({ file, message }) => [file, message])).toEqual([
      ['p/actions/new.yaml', 'no team owns this file'],
    ]);
  });
});
