import { describe, expect, it } from '@jest/globals';
import { setChanges } from '../../../../src/tools/policy/compare/set-changes.ts';
import { baseSchema, exampleCatalog, folderWith, mustLoad } from '../../../builders/policy-folder.ts';

const permit = (id: string, rest = ''): string => `@id("${id}") permit (principal, action, resource)${rest};\n`;
const agent = (name: string, group: string): string =>
  JSON.stringify([
    { uid: { type: 'Remit::AgentGroup', id: group }, attrs: {}, parents: [] },
    {
      uid: { type: 'Remit::Agent', id: `spiffe://acme.test/${name}` },
      attrs: {},
      parents: [{ type: 'Remit::AgentGroup', id: group }],
    },
  ]);
const EMPTY = `servers:
  empty:
    hosts: [empty.acme.test]
    audience: https://empty.acme.test
    routes: []
`;
const none = { added: [], removed: [], changed: [] };
const limit = (id: string, calls: number): string =>
  `  - { id: ${id}, agents: ['*'], per: [agent], window: 1d, calls: ${calls} }\n`;
const limited = (limits: string) => mustLoad(folderWith(permit('a'), { limits: `limits:\n${limits}` }));

const withTemplate = (server: string) =>
  mustLoad(
    folderWith(
      `${permit('a')}@id("t") permit (principal == ?principal, action, resource in Remit::Server::"${server}");\n`,
    ),
  );

describe('setChanges', () => {
  it('lists added, removed and changed names', async () => {
    const from = await mustLoad(
      folderWith(permit('a') + permit('b') + permit('c'), { entities: agent('x', 'readers') }),
    );
    const catalog = exampleCatalog
      .replace('action: payments.list', 'action: payments.index')
      .replace('action: payments.read, method: GET', 'action: payments.read, method: HEAD');
    const to = await mustLoad(
      folderWith(permit('b', ' when { context.risk == "low" }') + permit('c') + permit('d'), {
        catalog,
        entities: agent('x', 'writers'),
      }),
    );
    expect(setChanges(from, to)).toEqual({
      policies: { added: ['d'], removed: ['a'], changed: ['b'] },
      actions: { added: ['payments.index'], removed: ['payments.list'], changed: ['payments.read'] },
      entities: {
        added: ['Remit::AgentGroup::"writers"'],
        removed: ['Remit::AgentGroup::"readers"'],
        changed: ['Remit::Agent::"spiffe://acme.test/x"'],
      },
      observed: none,
      limits: none,
      files: { ...none, changed: ['actions.yaml'] },
    });
  });

  it('does not take values that moved to another file of the catalog for changed', async () => {
    const zones = 'timeZones: { office: Europe/Berlin';
    const both = exampleCatalog.replace(/^timeZones:\n.*\n/m, `${zones}, shop: UTC }\n`);
    const later = exampleCatalog.replace(/^timeZones:\n.*\n/m, 'timeZones: { shop: UTC }\n');
    const from = await mustLoad(folderWith(permit('a'), { catalog: both }));
    const to = await mustLoad(
      folderWith(permit('a'), { catalog: later, catalogs: { 'zones.yaml': `servers: {}\n${zones} }\n` } }),
    );
    expect(setChanges(from, to).files).toEqual({ ...none, added: ['actions/zones.yaml'], changed: ['actions.yaml'] });
  });

  it('names files of the catalog, and what they define (issue 43, point 2)', async () => {
    const from = await mustLoad(folderWith(permit('a')));
    const own = EMPTY.replace('routes: []', 'routes: [{ action: empty.read, method: GET, path: /x, risk: low }]');
    const to = await mustLoad(folderWith(permit('a'), { catalogs: { 'empty.yaml': own } }));
    const { actions, files } = setChanges(from, to);
    expect({ actions, files }).toEqual({
      actions: { ...none, added: ['empty.read'] },
      files: { ...none, added: ['actions/empty.yaml'] },
    });
  });

  it('names limits, whatever their places in the file', async () => {
    const from = await limited(limit('a', 1) + limit('b', 1) + limit('c', 1));
    const to = await limited(`# moved\n${limit('c', 1)}${limit('b', 2)}${limit('d', 1)}`);
    expect(setChanges(from, to).limits).toEqual({ added: ['d'], removed: ['a'], changed: ['b'] });
  });

  it('ignores white space, comments and the order of policies', async () => {
    const from = await mustLoad(folderWith(permit('a') + permit('b')));
    const to = await mustLoad(folderWith(`${permit('b', '\n // so it is\n')}${permit('a')}`));
    expect(setChanges(from, to)).toEqual({
      policies: none,
      actions: none,
      entities: none,
      observed: none,
      limits: none,
      files: none,
    });
  });

  it.each([
    ['a time zone', { catalog: exampleCatalog.replace('Europe/Berlin', 'Asia/Tokyo') }, 'timeZones of the catalog'],
    [
      'a subject attribute',
      { catalog: exampleCatalog.replace('tenant: string', 'tenant: strings') },
      'subjectAttributes of the catalog',
    ],
    ['a server without actions', { catalog: exampleCatalog.replace('servers:\n', EMPTY) }, 'actions.yaml'],
    ['the base schema', { base: `${baseSchema}\n// changed\n` }, 'base.cedarschema'],
  ])('names %s that no other list shows (review of issue 43)', async (_name, changed, name) => {
    const from = await mustLoad(folderWith(permit('a')));
    const { files, ...rest } = setChanges(from, await mustLoad(folderWith(permit('a'), changed)));
    expect(files.changed).toContain(name);
    expect(Object.values(rest)).toEqual(Object.values(rest).map(() => none));
  });

  it('names templates without links', async () => {
    const { files } = setChanges(await withTemplate('payments'), await withTemplate('files'));
    expect(files).toEqual({ ...none, changed: ['template t'] });
  });

  it.each([
    ['its server', 'audience: https://payments.acme.test', 'audience: https://pay.acme.test', 'payments.create'],
    ['a label', 'labels: [external]', 'labels: [internal]', 'payments.create'],
    ['an argument', 'currency: { from: body }', 'currency: { from: body, required: true }', 'payments.create'],
    ['its risk', "payments/{id}/refund', risk: high", "payments/{id}/refund', risk: low", 'payments.refund'],
  ])('sees %s of an action change', async (_name, before, after, action) => {
    const from = await mustLoad(folderWith(permit('a')));
    const to = await mustLoad(folderWith(permit('a'), { catalog: exampleCatalog.replace(before, after) }));
    expect(setChanges(from, to).actions.changed).toContain(action);
  });
});
