import { describe, expect, it } from '@jest/globals';
import { deniedCallFrom } from '../../../src/core/action/denied-call.ts';
import type { HttpCall } from '../../../src/core/action/http/call.ts';
import { deniedActionOf } from '../../../src/core/action/denied-action.ts';
import { mustCatalog } from '../../builders/catalog.ts';
import { headersOf, httpCall } from '../../builders/http-call.ts';

const catalog = mustCatalog(`servers:
  tools:
    hosts: [tools.acme.test]
    audience: https://tools.acme.test
    mcp:
      path: /mcp
      tools:
        create_ticket: { action: tickets.create, risk: low, args: { title: { required: true } } }
        close_ticket: { action: tickets.close, risk: low }
    routes:
      - { method: GET, path: '/v1/payments/{id}', action: payments.read, risk: low }
      - { method: GET, path: /v1/payments, action: payments.list, risk: low }
      - { method: POST, path: '/v1/payments', action: payments.create, risk: low }
  agent:
    hosts: [agent.acme.test]
    audience: https://agent.acme.test
    a2a: { path: /a2a, methods: { SendMessage: { action: agent.send, risk: low } } }
`);

const rpc = (path: string, method: string, params: object): HttpCall =>
  httpCall({
    method: 'POST',
    host: path === '/mcp' ? 'tools.acme.test' : 'agent.acme.test',
    path,
    headers: headersOf({ 'content-type': 'application/json' }),
    body: Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })),
  });
const tool = (name: string): HttpCall => rpc('/mcp', 'tools/call', { name });
const get = (path: string, host = 'tools.acme.test'): HttpCall => httpCall({ method: 'GET', host, path });

describe('deniedActionOf', () => {
  it.each<[string, HttpCall, object]>([
    ['the action of a tool whose arguments were refused', tool('create_ticket'), { action: 'tickets.create' }],
    ['the nearest of a misspelt tool', tool('creat_ticket'), { nearest: 'tickets.create' }],
    ['nothing for a tool like no other', tool('format_disk'), {}],
    ['nothing for a tool of 64 KiB', tool('x'.repeat(65_536)), {}],
    ['nothing for a tool of control characters', tool('\u0000\u202e\ud800'), {}],
    ['nothing for another method of MCP', rpc('/mcp', 'prompts/get', { name: 'create_ticket' }), {}],
    ['the action of a route', get('/v1/payments/7'), { action: 'payments.read' }],
    [
      'the nearest of a misspelt path, whatever its parameters are',
      get('/v1/paymnts/4711'),
      { nearest: 'payments.read' },
    ],
    ['the nearest of as many segments', get('/v1/paymets'), { nearest: 'payments.list' }],
    [
      'nothing for a path of another method alone',
      httpCall({ method: 'PUT', host: 'tools.acme.test', path: '/v1/payments' }),
      {},
    ],
    ['nothing at an unknown host', get('/v1/payments/7', 'x.acme.test'), {}],
    ['the nearest method of an agent', rpc('/a2a', 'SendMesage', {}), { nearest: 'agent.send' }],
    ['nothing of another server', rpc('/a2a', 'create_ticket', {}), {}],
  ])('%s', (_name, given, expected) => {
    expect(deniedActionOf(deniedCallFrom(given, catalog), catalog)).toEqual(expected);
  });
});
