import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import type { CommandIo } from '../../src/commands/command.ts';
import { policyImport } from '../../src/commands/policy-import.ts';
import { shopSet } from '../action/protobuf/shop.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'remit-import-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

async function run(text: string | Uint8Array | null, kind: string, ...options: readonly string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const file = join(folder, 'x');
  if (text !== null) writeFileSync(file, text);
  const io: CommandIo = {
    stdout: { writable: false, writableLength: 0, write: () => undefined },
    out: (line) => out.push(line),
    err: (line) => err.push(line.replaceAll(folder, 'f')),
    environment: {},
    runtimeVersion: '26.0.0',
    ended: () => new Promise(() => {}),
    onHurry: () => () => undefined,
    onReload: () => {},
    onSignal: () => () => {},
  };
  const code = await policyImport.run([kind, file, ...options], io);
  const yaml = out.filter((line) => !line.startsWith('#')).join('\n');
  return { code, err, servers: parse(yaml)?.servers, notes: out.filter((line) => line.startsWith('#')) };
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

describe('remit policy import', () => {
  it('writes a route for each operation of OpenAPI', async () => {
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
        '# PUT /orders/{id}: `next` is an object in itself',
        '# PUT /orders/{id}: `any` has no type of an argument',
        '# PUT /orders/{id}: `__entity` is no name of an argument',
        expect.stringMatching(/^# GET \/files\/\{name\}\.pdf is left out: /),
        '# POST /search: `tags` in the query has no type of an argument',
      ]),
    );
  });

  it('writes the tools of an MCP server, whatever their names are', async () => {
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
    const leftOut = 'an `x-mcp-header` that is no name of a header, or of a type that has none, is left out';
    for (const document of [{ jsonrpc: '2.0', id: 1, result: { tools } }, { tools }, tools]) {
      const { code, err, servers, notes } = await run(JSON.stringify(document), 'mcp-tools', '--server', 'tickets');
      expect({ code, err, notes }).toEqual({
        code: 0,
        err: [],
        notes: [
          `# the tool \`create_ticket\`: ${leftOut}`,
          `# the tool \`create_ticket\`: ${leftOut}`,
          '# a tool without a name of its own is left out',
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
                args: { title: { required: true, header: 'Title' }, 'assigned to': {}, price: { type: 'decimal' } },
              },
              'create ticket': { action: 'tickets.create-ticket', risk: 'low' },
              'löschen!': { action: 'tickets.l-schen', risk: 'high' },
            },
          },
        },
      });
    }
  });

  it('writes the methods of a proto file', async () => {
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

  it('writes the methods of a descriptor set, with the arguments of their messages', async () => {
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
        `${place}\`order.next\` is a message in itself`,
        `${place}\`notes\` has no type of an argument`,
        `${place}\`attachment\` has no type of an argument`,
        `${place}\`more\` has no type of an argument`,
        `${place}\`weight\` has no type of an argument`,
        '# `acme.shop.v1.Shop/Upload`: it takes a stream, so it is decided on headers',
      ]),
    );
  });

  it('says what in its output is not yet a catalog', async () => {
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
    ['no YAML', '{', 'openapi', 'remit policy import: `f/x`: it is neither YAML nor JSON'],
    ['no OpenAPI', 'swagger: "2.0"', 'openapi', 'remit policy import: `f/x`: it is no OpenAPI 3 document'],
    ['no tools', '{"tools":[]}', 'mcp-tools', 'remit policy import: `f/x`: there are no `tools` in it'],
    ['no services', 'message A {}', 'proto', 'remit policy import: `f/x`: there are no services in it'],
  ])('refuses %s', async (_name, text, kind, expected) => {
    expect(await run(text, kind)).toMatchObject({ code: 2, err: [expected] });
  });
});
