import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { policyImport } from '../../../src/cli/policy/policy-import.ts';
import { commandRun } from '../../builders/command-run.ts';
import { shopSet, twoVersionsSet } from '../../core/action/grpc/protobuf/shop.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'remit-import-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

async function run(text: string | Uint8Array | null, kind: string, ...options: readonly string[]) {
  const file = join(folder, 'x');
  if (text !== null) writeFileSync(file, text);
  const { code, out, err: messages } = await commandRun(policyImport.run, [kind, file, ...options]);
  const err = messages.map((line) => line.replaceAll(folder, 'f'));
  const yaml = out.filter((line) => !line.startsWith('#')).join('\n');
  const notes = out.filter((line) => line.startsWith('#'));
  return { code, err, servers: parse(yaml)?.servers, notes, lines: [...out, ...err] };
}

const openapi = `openapi: 3.1.0
servers: [{ url: https://api.acme.test/v1/ }]
paths:
  /orders/{id}:
    parameters: [{ $ref: '#/components/parameters/id' }]
    get: { operationId: getOrder, parameters: [{ name: page, in: query, schema: { type: integer }, required: true }, { name: x, in: header, schema: { type: string } }] }
    put:
      operationId: 'put order!'
      requestBody: { content: { application/json: { schema: { $ref: '#/components/schemas/Order' } } } }
    delete: {}
  /files/{name}.pdf: { get: {} }
  /search: { post: { parameters: [{ name: tags, in: query, schema: { type: array, items: { type: string } } }] } }
components:
  parameters: { id: { name: id, in: path, required: true, schema: { type: integer } } }
  schemas:
    Order:
      type: object
      required: [total, id, money]
      properties:
        id: { type: string }
        total: { type: number }
        note: { type: [string, 'null'] }
        tags: { type: array, items: { $ref: '#/components/schemas/Tag' } }
        money: { type: object, required: [currency], properties: { currency: { type: string }, 'a/b': { type: boolean } } }
        next: { $ref: '#/components/schemas/Order' }
        any: {}
        __entity: { type: string }
    Tag: { type: string }
`;

const sample = (name: string): string =>
  readFileSync(join(import.meta.dirname, '../../tools/policy/import', name), 'utf8');
const helpdesk = sample('helpdesk.openapi.yaml');
const tracker = sample('tracker.tools.json');
const inPost = (...names: readonly string[]): string =>
  names.map((name) => `\`${name}\` of \`POST /tickets\``).join(', ');
const preferences = '/organizations/{organization_id}/members/{member_id}/notification-preferences/channels';

const closed = (properties: object, more: object = {}) => ({
  type: 'object',
  properties,
  additionalProperties: false,
  ...more,
});

/** The digest of the definition of a tool. */
const somePin: unknown = expect.stringMatching(/^sha-256:[\w-]{43}$/);

describe('remit policy import', () => {
  it('puts a server below a path of a shared host', async () => {
    const shop = await run(openapi, 'openapi', '--server', 'shop', '--path', '/v1/orders');
    const { routes, ...head } = shop.servers.shop;
    expect({ ...head, code: shop.code }).toEqual({
      hosts: ['api.acme.test'],
      paths: ['/v1/orders'],
      audience: 'https://api.acme.test/v1/orders',
      code: 0,
    });
    expect(routes.map(({ path }: { readonly path: string }) => path)).toEqual([
      '/v1/orders/{id:int}',
      '/v1/orders/{id:int}',
      '/v1/orders/{id:int}',
      '/v1/orders/v1/search',
    ]);
    const tools = JSON.stringify({ tools: [{ name: 'look' }] });
    const mcp = await run(tools, 'mcp-tools', '--server', 'crm', '--host', 'gw.acme.test', '--path', '/crm');
    expect(mcp.servers.crm).toMatchObject({ paths: ['/crm'], audience: 'https://gw.acme.test/crm' });
    expect([mcp.code, mcp.servers.crm.mcp.path]).toEqual([0, '/crm/mcp']);
    expect((await run(shopSet, 'proto', '--path', '/crm')).err).toEqual([
      expect.stringMatching(/: gRPC has the path of its services: name those as `paths`/),
    ]);
    expect((await run(openapi, 'openapi', '--path', 'crm')).err).toEqual([
      'remit policy import: `--path crm` must be a path such as `/crm`',
    ]);
  });

  it('prints a route for each OpenAPI operation', async () => {
    const { code, err, servers, notes } = await run(openapi, 'openapi', '--server', 'shop');
    expect({ code, err }).toEqual({ code: 0, err: [] });
    const { routes, ...head } = servers.shop;
    expect(head).toEqual({ hosts: ['api.acme.test'], audience: 'https://api.acme.test' });
    const [get, put, remove, search] = routes;
    expect(get).toEqual({
      action: 'shop.getOrder',
      method: 'GET',
      path: '/v1/orders/{id:int}',
      risk: 'low',
      args: { page: { from: 'query', type: 'long', required: true } },
    });
    expect(put).toMatchObject({ action: 'shop.put-order', risk: 'medium', body: 'json' });
    expect(put.args).toMatchObject({
      'body.id': { from: 'body', pointer: '/id', required: true },
      total: { from: 'body', type: 'decimal', required: true },
      note: { from: 'body' },
      tags: { from: 'body', type: 'strings' },
      'money.currency': { from: 'body', pointer: '/money/currency', required: true },
      'money.a/b': { from: 'body', pointer: '/money/a~1b', type: 'bool' },
    });
    expect(Object.keys(put.args)).toHaveLength(6);
    expect(remove).toMatchObject({ action: 'shop.delete-orders-id', risk: 'high', body: 'none' });
    expect(search).toEqual({
      action: 'shop.post-search',
      method: 'POST',
      path: '/v1/search',
      risk: 'medium',
      body: 'none',
    });
    expect(notes).toEqual(
      expect.arrayContaining([
        '# PUT /orders/{id}: `next` contains itself',
        '# PUT /orders/{id}: `any` has no matching argument type',
        '# PUT /orders/{id}: `__entity` is not a valid argument name',
        expect.stringMatching(/^# GET \/files\/\{name\}\.pdf is left out: /),
        '# POST /search: `tags` in the query has no matching argument type: `strings` is for JSON only',
      ]),
    );
  });

  it('prints the tools of an MCP server, whatever their names', async () => {
    const tools = [
      {
        name: 'create_ticket',
        inputSchema: {
          type: 'object',
          required: ['title'],
          properties: {
            title: { type: 'string', 'x-mcp-header': 'Title' },
            'assigned to': { type: 'string', 'x-mcp-header': 'assigned to' },
            price: { type: 'number', 'x-mcp-header': 'Price' },
          },
        },
      },
      { name: 'create ticket', annotations: { readOnlyHint: true } },
      { name: 'löschen!', annotations: { destructiveHint: true }, inputSchema: { type: 'object' } },
      { name: 'create ticket' },
    ];
    const leftOut = 'an `x-mcp-header` is left out: invalid name, or a type without a header';
    for (const document of [{ jsonrpc: '2.0', id: 1, result: { tools } }, { tools }, tools]) {
      const { code, err, servers, notes } = await run(JSON.stringify(document), 'mcp-tools', '--server', 'tickets');
      expect({ code, err, notes }).toEqual({
        code: 0,
        err: [],
        notes: [
          expect.stringMatching(/^# strings that can exceed 4,096 bytes.*: `title` of `create_ticket`, /),
          expect.stringMatching(/^# numbers of any precision; .*: `price` of `create_ticket`$/),
          '# a tool is left out: its name is missing or repeated',
          `# the tool \`create_ticket\`: ${leftOut}`,
          `# the tool \`create_ticket\`: ${leftOut}`,
        ],
      });
      expect(servers).toEqual({
        tickets: {
          hosts: ['tickets.example'],
          audience: 'https://tickets.example',
          mcp: {
            path: '/mcp',
            tools: {
              create_ticket: {
                action: 'tickets.create_ticket',
                risk: 'medium',
                pin: somePin,
                args: { title: { required: true, header: 'Title' }, 'assigned to': {}, price: { type: 'decimal' } },
              },
              'create ticket': { action: 'tickets.create-ticket', risk: 'low', pin: somePin },
              'löschen!': { action: 'tickets.loschen', risk: 'high', pin: somePin },
            },
          },
        },
      });
    }
  });

  it('prints the methods of a proto file', async () => {
    const proto = `syntax = "proto3"; /* service Old { rpc A (B) returns (C); } */
package acme.shop.v1; // rpc X (
option go_package = "service Fake { rpc Y (";
message A { string service = 1; }
service Shop {
  rpc Get (A) returns (A) { option (google.api.http) = { get: "/v1" }; }
  rpc Watch(stream A) returns (stream A);
}
service Empty {}
`;
    expect(await run(proto, 'proto', '--server', 'shop', '--host', 'shop.acme.test')).toMatchObject({
      code: 0,
      servers: {
        shop: {
          hosts: ['shop.acme.test'],
          audience: 'https://shop.acme.test',
          grpc: {
            services: {
              'acme.shop.v1.Shop': {
                methods: {
                  Get: { action: 'shop.Shop-Get', risk: 'medium' },
                  Watch: { action: 'shop.Shop-Watch', risk: 'medium' },
                },
              },
            },
          },
        },
      },
    });
  });

  it('prints the methods of a descriptor set, with the arguments of their messages', async () => {
    const { code, err, servers, notes } = await run(shopSet, 'proto', '--server', 'shop', '--host', 'shop.acme.test');
    expect({ code, err }).toEqual({ code: 0, err: [] });
    const { descriptorSet, services } = servers.shop.grpc;
    expect(descriptorSet).toBe('x');
    expect(Object.keys(services)).toEqual(['acme.shop.v1.Shop', 'acme.legacy.Legacy', 'acme.edition.Edition']);
    expect(services['acme.shop.v1.Shop'].methods).toMatchObject({
      PlaceOrder: {
        action: 'shop.Shop-PlaceOrder',
        risk: 'medium',
        args: {
          customer: {},
          'order.amount_cents': { type: 'long' },
          'order.first.count': { type: 'long' },
          tags: { type: 'strings' },
          priority: {},
          gift: { type: 'bool' },
          discount: { type: 'decimal' },
        },
      },
      Upload: { action: 'shop.Shop-Upload', risk: 'medium' },
    });
    expect(services['acme.shop.v1.Shop'].methods.Upload).not.toHaveProperty('args');
    const place = '# `acme.shop.v1.Shop/PlaceOrder`: ';
    expect(notes).toEqual(
      expect.arrayContaining([
        `${place}\`order.next\` contains itself`,
        `${place}\`notes\` has no matching argument type`,
        `${place}\`attachment\` has no matching argument type`,
        `${place}\`more\` has no matching argument type`,
        `${place}\`weight\` has no matching argument type`,
        '# `acme.shop.v1.Shop/Upload`: it takes a stream, so it is decided on headers',
      ]),
    );
  });

  it('reads the schemas of a framework: `anyOf` with `null`, enums by reference, `allOf`, ranges of numbers and texts', async () => {
    const { code, err, servers, notes } = await run(helpdesk, 'openapi', '--server', 'helpdesk');
    expect({ code, err }).toEqual({ code: 0, err: [] });
    const [list, create, update, put, remove] = servers.helpdesk.routes;
    expect(list).toEqual({
      action: 'helpdesk.list_tickets_tickets_get',
      method: 'GET',
      path: '/tickets',
      risk: 'low',
      args: { status: { from: 'query' }, limit: { from: 'query', type: 'long' } },
    });
    const from = { from: 'body' };
    expect(create.args).toEqual({
      title: { ...from, required: true },
      body: { ...from, maxBytes: 65_536 },
      summary: { ...from, maxBytes: 8_000 },
      priority: { ...from, type: 'long', required: true },
      kind: { ...from, required: true },
      'requester.email': { ...from, pointer: '/requester/email', required: true },
      'requester.name': { ...from, pointer: '/requester/name' },
      'assignee.email': { ...from, pointer: '/assignee/email' },
      'assignee.name': { ...from, pointer: '/assignee/name' },
      status: from,
      labels: { ...from, type: 'strings' },
      cost: { ...from, type: 'decimal', required: true },
      effort: { ...from, type: 'long' },
      latitude: { ...from, type: 'decimal' },
      legacy_id: { ...from, type: 'long' },
      account_id: { ...from, type: 'long' },
      due: from,
    });
    expect(update).toMatchObject({ path: '/tickets/{ticket_id:uuid}', args: { status: from, note: from } });
    const at = '# POST /tickets: ';
    expect(notes.filter((note) => note.startsWith(at))).toEqual([
      `${at}\`ratio\` comes in steps of 0.000001, an argument has 4 decimal places`,
      `${at}\`mass\` can exceed ±922337203685477.5807, the range of an argument`,
      `${at}\`nanos\` can exceed ±(2^53 - 1), the range of an argument`,
      `${at}\`reference\` can be of more than one type`,
      `${at}\`screenshot\` is a file or bytes`,
      `${at}\`extra\` is an object without declared members`,
      `${at}\`elsewhere\` refers to \`./other.yaml#/components/schemas/X\`, which is not in the document`,
    ]);
    const limit = (words: string) => notes.find((note) => note.startsWith(`# ${words}`))?.replace(/^.*: /, '');
    expect(limit('strings that')).toBe(`${inPost('body')}, \`note\` of \`PATCH /tickets/{ticket_id}\``);
    expect(limit('64-bit integers')).toBe(inPost('legacy_id'));
    expect(limit('numbers of any')).toBe(inPost('latitude'));
    expect(limit('can be `null`')).toContain(inPost('assignee.name', 'status', 'labels', 'due'));
    expect(notes).toContain('# PATCH /tickets/{ticket_id}: `parent` contains itself');
    expect(notes).toContain(
      '# GET /tickets: `min_score` in the query has no matching argument type: `decimal` is for JSON only',
    );
    // Two operations whose names differ only in the last word, and are too long for an id.
    expect(put.action).toMatch(/^helpdesk\.update_member_notification_preferences_\w*[a-z]-[0-9a-f]{8}$/);
    expect(remove.action).not.toBe(put.action);
    expect(put.action.length).toBeLessThanOrEqual(128);
    expect(notes).toContain(
      `# \`PUT ${preferences}\`: its id is \`${put.action}\`, because an id has at most 128 characters`,
    );
  });

  it('closes what its schema closes, and nothing of which it left something out', async () => {
    const text = { type: 'string', maxLength: 20_000 };
    const tools = Object.entries({
      closed: closed({ text, to: closed({ id: { type: 'integer' } }) }),
      empty: closed({}),
      open: { type: 'object', properties: { text } },
      'open-below': closed({ to: { type: 'object', properties: { id: { type: 'integer' } } } }),
      'left-out': closed({ at: { type: 'array', items: { type: 'integer' } } }),
      patterns: closed({ text }, { patternProperties: { '^x-': {} } }),
      choices: closed({ text }, { anyOf: [{ required: ['text'] }, { required: ['to'] }] }),
      'too-long': closed({ text: { type: 'string', maxLength: 65_537 } }),
    }).map(([name, inputSchema]) => ({ name, inputSchema }));
    const mcp = await run(JSON.stringify({ tools }), 'mcp-tools', '--server', 'crm', '--host', 'crm.acme.test');
    const imported = mcp.servers.crm.mcp.tools;
    expect(Object.keys(imported).filter((name) => 'otherArguments' in imported[name])).toEqual(['closed', 'empty']);
    expect(imported.closed).toEqual({
      action: 'crm.closed',
      risk: 'medium',
      pin: somePin,
      otherArguments: 'deny',
      args: { text: { maxBytes: 65_536 }, 'to.id': { pointer: '/to/id', type: 'long' } },
    });
    expect(mcp.notes).toContain('# the tool `too-long`: `text` can have 65537 characters, an argument 65536 bytes');
    const schema = { content: { 'application/json': { schema: closed({ text }) } } };
    const paths = {
      '/notes': { post: { operationId: 'add', requestBody: schema }, get: { operationId: 'list' } },
      '/lists': {
        post: {
          operationId: 'found',
          requestBody: schema,
          parameters: [{ name: 'at', in: 'query', schema: { type: 'number' } }],
        },
      },
    };
    const http = await run(
      JSON.stringify({ openapi: '3.1.0', paths }),
      'openapi',
      '--server',
      'notes',
      '--host',
      'n.test',
    );
    expect(
      http.servers.notes.routes.map(({ action, otherArguments }: Record<string, unknown>) => [action, otherArguments]),
    ).toEqual([
      ['notes.add', 'deny'],
      ['notes.list', undefined],
      ['notes.found', undefined],
    ]);
  });

  it('gives each tool a unique id, whatever the order, and follows `$defs`', async () => {
    const { code, err, servers, notes } = await run(tracker, 'mcp-tools', '--server', 'tracker');
    expect({ code, err }).toEqual({ code: 0, err: [] });
    const { tools } = servers.tracker.mcp;
    expect(tools['issues.create']).toEqual({
      action: 'tracker.issues.create',
      risk: 'medium',
      pin: somePin,
      args: {
        repository: { required: true },
        title: { required: true },
        body: {},
        severity: { required: true },
        'assignee.login': { pointer: '/assignee/login', required: true },
        'assignee.team': { pointer: '/assignee/team' },
        labels: { type: 'strings' },
      },
    });
    const ids = Object.entries<{ readonly action: string }>(tools).map(([name, { action }]) => [name, action] as const);
    expect(Object.fromEntries(ids)).toEqual({
      'issues.create': 'tracker.issues.create',
      'issues list': expect.stringMatching(/^tracker\.issues-list-[0-9a-f]{8}$/),
      'issues/list': expect.stringMatching(/^tracker\.issues-list-[0-9a-f]{8}$/),
      'issues-list': 'tracker.issues-list',
      'mcp.session': expect.stringMatching(/^tracker\.mcp\.session-[0-9a-f]{8}$/),
      检索: expect.stringMatching(/^tracker\.action-[0-9a-f]{8}$/),
    });
    expect(new Set(ids.map(([, id]) => id)).size).toBe(6);
    expect(notes).toContain(
      `# \`issues list\`: its id is \`${tools['issues list'].action}\`, because \`tracker.issues-list\` is also that of \`issues/list\``,
    );
    expect(notes).toContain(
      '# can be `null`, which counts as absent, so they are not `required`: `body` of `issues.create`, `assignee.team` of `issues.create`, `labels` of `issues.create`',
    );

    const document = JSON.parse(tracker);
    document.result.tools.reverse();
    const turned = await run(JSON.stringify(document), 'mcp-tools', '--server', 'tracker', '--only', 'issues?list');
    expect(turned.notes[0]).toBe('# 3 of 6 tools');
    expect(turned.servers.tracker.mcp.tools).toEqual(
      Object.fromEntries(['issues list', 'issues/list', 'issues-list'].map((name) => [name, tools[name]])),
    );
  });

  it('distinguishes two versions of a service by their packages', async () => {
    const { code, servers } = await run(twoVersionsSet(folder), 'proto', '--server', 'shop');
    expect(code).toBe(0);
    const { services } = servers.shop.grpc;
    expect(services['acme.shop.v1.Shop'].methods.GetOrder.action).toBe('shop.acme.shop.v1.Shop-GetOrder');
    expect(services['acme.shop.v2.Shop'].methods.GetOrder.action).toBe('shop.acme.shop.v2.Shop-GetOrder');
    expect(services['acme.shop.v2.Carts'].methods.Clear.action).toBe('shop.Carts-Clear');
  });

  it.each([
    ['an operationId', helpdesk, 'openapi', ['create_*'], ['POST /tickets']],
    [
      'a method and path',
      helpdesk,
      'openapi',
      ['* /tickets*'],
      ['GET /tickets', 'POST /tickets', 'PATCH /tickets/{ticket_id:uuid}'],
    ],
    [
      'more than one pattern',
      helpdesk,
      'openapi',
      ['list_*', 'PATCH *'],
      ['GET /tickets', 'PATCH /tickets/{ticket_id:uuid}'],
    ],
  ])('imports what --only selects by %s, under the prefix', async (_name, text, kind, patterns, expected) => {
    const only = patterns.flatMap((pattern) => ['--only', pattern]);
    const { code, servers } = await run(text, kind, '--server', 'helpdesk', '--prefix', 'desk.v2.', ...only);
    expect(code).toBe(0);
    const routes: readonly { readonly action: string; readonly method: string; readonly path: string }[] =
      servers.helpdesk.routes;
    expect(routes.map(({ method, path }) => `${method} ${path}`)).toEqual(expected);
    for (const { action } of routes) expect(action).toMatch(/^desk\.v2\.[a-z]+_/);
  });

  it('imports the gRPC methods that --only selects', async () => {
    const { servers, notes } = await run(shopSet, 'proto', '--only', 'acme.shop.v1.*/P*');
    expect(Object.keys(servers.server.grpc.services)).toEqual(['acme.shop.v1.Shop']);
    expect(Object.keys(servers.server.grpc.services['acme.shop.v1.Shop'].methods)).toEqual(['PlaceOrder']);
    expect(notes[0]).toMatch(/^# 1 of \d+ methods$/);
  });

  it('refuses a pattern that selects nothing, and a prefix that is invalid in an id', async () => {
    expect((await run(tracker, 'mcp-tools', '--only', 'issue_*')).err).toEqual([
      'remit policy import: `f/x`: none of its 6 tools is matched by `--only`: it has `issues.create`, `issues list`, `issues/list`, `issues-list`, `mcp.session`, `检索`',
    ]);
    const rule = 'letters, digits, `-` and `_`, joined by dots, at most 64, beginning with a letter';
    for (const prefix of ['1.', 'a..', 'a b.', 'x'.repeat(65)])
      expect(await run(tracker, 'mcp-tools', '--prefix', prefix)).toMatchObject({
        code: 2,
        err: [`remit policy import: \`--prefix ${prefix.slice(0, 64)}\` cannot begin an action id: ${rule}`],
      });
  });

  it('reads each key of a large mapping once', async () => {
    const paths = Array.from({ length: 20_000 }, (_, index) => `  /p${index}: {}\n`).join('');
    const { code, servers } = await run(`openapi: 3.1.0\npaths:\n${paths}  /a: { get: {} }\n`, 'openapi');
    expect([code, servers.server.routes.length]).toEqual([0, 1]);
  });

  it('reports if its output is not yet a valid catalog', async () => {
    const crossing = `openapi: 3.0.0\npaths: { '/a/{x}': { get: {} }, '/{y}/b': { get: {} } }\n`;
    const { code, err } = await run(crossing, 'openapi');
    expect({ code, err }).toEqual({
      code: 1,
      err: ['actions.yaml:13:15: `GET /{y}/b` overlaps with `GET /a/{x}` of `server.get-a-x`'],
    });
  });

  it.each([
    ['another kind', '', 'wsdl', 'remit policy import: expected openapi|mcp-tools|proto and a FILE'],
    ['no file', null, 'proto', 'remit policy import: `f/x` cannot be read: ENOENT'],
    ['no YAML', '{', 'openapi', 'remit policy import: `f/x`: it must be YAML or JSON'],
    [
      'a key twice',
      'openapi: 3.1.0\npaths: { /a: { get: {} }, /a: {} }',
      'openapi',
      'remit policy import: `f/x`: it must be YAML or JSON, without a key twice',
    ],
    [
      'a key twice in JSON',
      '{ "tools": [], "tools": [{ "name": "a" }] }',
      'mcp-tools',
      'remit policy import: `f/x`: it must be YAML or JSON, without a key twice',
    ],
    [
      'no OpenAPI',
      'swagger: "2.0"',
      'openapi',
      'remit policy import: `f/x`: it must be an OpenAPI 3 document: `openapi: 3.…`',
    ],
    ['no tools', '{"tools":[]}', 'mcp-tools', 'remit policy import: `f/x`: it has no `tools`'],
    ['no services', 'message A {}', 'proto', 'remit policy import: `f/x`: it has no gRPC service'],
  ])('refuses %s', async (_name, text, kind, expected) => {
    expect(await run(text, kind)).toMatchObject({ code: 2, err: [expected] });
  });
});

/** Issue 37, point 21: a path with a line break ended its comment and began a route, and ESC reached the terminal. */
describe('what an imported file cannot write', () => {
  const evil = '/x{\n      - { action: evil.all, method: GET, path: /, risk: low }\n\u001b[2J\u2028\u202e\r';
  const documents: readonly (readonly [kind: string, document: unknown])[] = [
    ['openapi', { openapi: '3.1.0', paths: { [evil]: { get: {} }, '/ok': { get: { operationId: evil } } } }],
    [
      'openapi',
      {
        openapi: '3.1.0',
        servers: [{ url: evil }],
        paths: { '/ok': { get: { parameters: [{ name: evil, in: 'query', schema: {} }] } } },
      },
    ],
    [
      'openapi',
      {
        openapi: '3.1.0',
        paths: { '/ok/{id}': { get: { parameters: [{ name: 'id', in: 'path', schema: { pattern: evil } }] } } },
      },
    ],
    [
      'mcp-tools',
      {
        tools: [
          { name: evil, inputSchema: { properties: { [evil]: {} } } },
          { name: 'ok', inputSchema: { properties: { [evil]: { type: 'object' } } } },
        ],
      },
    ],
    ['openapi', evil],
  ];

  it.each(documents)('is a line, a route or what a terminal obeys: %s %#', async (kind, document) => {
    const { code, servers, lines } = await run(JSON.stringify(document), kind, '--server', 'x');
    expect(code).not.toBeNull();
    expect(lines.filter((line) => /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(line))).toEqual([]);
    expect(JSON.stringify(servers ?? {})).not.toContain('"action":"evil.all"');
  });
});
