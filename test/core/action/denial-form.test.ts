import { describe, expect, it } from '@jest/globals';
import { deniedCallFrom } from '../../../src/core/action/denied-call.ts';
import type { HttpCall } from '../../../src/core/action/http/call.ts';
import { denialFormOf, httpStatusOf } from '../../../src/core/action/denial-form.ts';
import { type Reason, type ReasonCode, reasons } from '../../../src/core/decision/reasons.ts';
import { mustCatalog } from '../../builders/catalog.ts';
import { headersOf, httpCall } from '../../builders/http-call.ts';

const server = (name: string, section: string): string => `  ${name}:
    hosts: [${name}.acme.test]
    audience: https://${name}.acme.test
    ${section}
`;
const tools = 'tools: { read: { action: NAME.read, risk: low } }';
const mcp = (name: string, denials = ''): string =>
  server(name, `mcp: { path: /rpc, ${tools.replace('NAME', name)}${denials} }`);
const a2a = (name: string, denials = ''): string =>
  server(name, `a2a: { path: /rpc, methods: { SendMessage: { action: ${name}.send, risk: low } }${denials} }`);

const catalog = mustCatalog(
  `servers:\n${mcp('tools')}${mcp('errors', ', denials: error')}${mcp('texts', ', denials: text')}${mcp('plain', ', denials: http')}${a2a('agent')}${a2a('old', ', denials: http')}` +
    server('web', 'routes: [{ method: POST, path: /rpc, action: web.post, risk: low }]'),
);

const call = (host: string, body: unknown, headers: Record<string, string> = {}, over: Partial<HttpCall> = {}) =>
  httpCall({
    method: 'POST',
    host: `${host}.acme.test`,
    path: '/rpc',
    headers: headersOf({ 'content-type': 'application/json', ...headers }),
    body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
    ...over,
  });
const toolCall = { jsonrpc: '2.0', id: 'r', method: 'tools/call', params: { name: 'read' } };
const asTask = { ...toolCall, params: { name: 'read', task: { ttl: 1_000 } } };
const listing = { jsonrpc: '2.0', id: 7, method: 'tools/list' };
const opening = { jsonrpc: '2.0', id: 0, method: 'initialize', params: {} };
const notification = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } };
const answer = { jsonrpc: '2.0', id: 3, result: {} };
const sending = { jsonrpc: '2.0', id: 'm', method: 'SendMessage', params: {} };

const of = (given: HttpCall, code: ReasonCode) => {
  const reason: Reason = reasons[code];
  const form = denialFormOf(deniedCallFrom(given, catalog), reason);
  const { kind = 'http', ...rest } = form ?? {};
  const { id } = rest as { id?: unknown };
  return [kind, httpStatusOf(form, reason), ...(id === undefined ? [] : [id])];
};

describe('denialFormOf', () => {
  it.each<[string, HttpCall, ReasonCode, readonly unknown[]]>([
    ['a tool call', call('tools', toolCall), 'policy.forbidden', ['tool-result', 200, 'r']],
    ['a tool call that meets a fault', call('tools', toolCall), 'overloaded', ['tool-result', 200, 'r']],
    ['a tool call of a stopped task', call('tools', toolCall), 'task.suspended', ['tool-result', 200, 'r']],
    ['a tool call without a token', call('tools', toolCall), 'token.missing', ['json-rpc-error', 401, 'r']],
    ['a tool call with an old token', call('tools', toolCall), 'token.expired', ['json-rpc-error', 401, 'r']],
    ['a tool call with a long-lived key', call('tools', toolCall), 'token.static-secret', ['tool-result', 200, 'r']],
    ['a tool call that begins a task', call('tools', asTask), 'policy.forbidden', ['json-rpc-error', 200, 'r']],
    ['a list', call('tools', listing), 'policy.not-permitted', ['json-rpc-error', 200, 7]],
    ['the opening of a session', call('tools', opening), 'policy.not-permitted', ['json-rpc-error', 200, 0]],
    ['the opening without a token', call('tools', opening), 'token.missing', ['json-rpc-error', 401, 0]],
    ['a notification', call('tools', notification), 'task.revoked', ['accepted', 202]],
    [
      'a notification that is invalid',
      call('tools', notification),
      'request.not-canonical',
      ['json-rpc-error', 400, null],
    ],
    ['a notification without a token', call('tools', notification), 'token.missing', ['json-rpc-error', 401, null]],
    ['an answer to the server', call('tools', answer), 'task.revoked', ['accepted', 202]],
    ['a batch', call('tools', [toolCall]), 'request.unsupported', ['json-rpc-error', 403, null]],
    ['an empty batch', call('tools', []), 'request.unsupported', ['json-rpc-error', 403, null]],
    ['what cannot be read', call('tools', '{'), 'request.malformed', ['json-rpc-error', 400, null]],
    [
      'a message that is too long',
      call('tools', 'x'.repeat(1_048_577)),
      'request.too-large',
      ['json-rpc-error', 413, null],
    ],
    [
      'an id of 64 KiB',
      call('tools', { ...toolCall, id: 'x'.repeat(65_536) }),
      'request.malformed',
      ['json-rpc-error', 400, null],
    ],
    [
      'an id above 2^53',
      call('tools', JSON.stringify(toolCall).replace('"r"', '9007199254740993')),
      'request.malformed',
      ['json-rpc-error', 400, null],
    ],
    [
      'an id without end',
      call('tools', JSON.stringify(toolCall).replace('"r"', '1e999')),
      'request.malformed',
      ['json-rpc-error', 400, null],
    ],
    ['the stream of a session', call('tools', '', {}, { method: 'GET' }), 'policy.forbidden', ['http', 403]],
    ['the end of a session', call('tools', '', {}, { method: 'DELETE' }), 'policy.forbidden', ['http', 403]],
    ['another path', call('tools', toolCall, {}, { path: '/x', segments: ['x'] }), 'action.unknown', ['http', 403]],
    ['another host', call('nowhere', toolCall), 'action.unknown', ['http', 403]],
    ['a tool call with `denials: error`', call('errors', toolCall), 'policy.forbidden', ['json-rpc-error', 200, 'r']],
    ['a tool call with `denials: text`', call('texts', toolCall), 'policy.forbidden', ['tool-result', 200, 'r']],
    ['a list with `denials: text`', call('texts', listing), 'policy.forbidden', ['json-rpc-error', 200, 7]],
    [
      'a tool call without a token with `denials: text`',
      call('texts', toolCall),
      'token.missing',
      ['json-rpc-error', 401, 'r'],
    ],
    ['a tool call with `denials: http`', call('plain', toolCall), 'policy.forbidden', ['json-rpc-error', 403, 'r']],
    ['a notification with `denials: http`', call('plain', notification), 'task.revoked', ['json-rpc-error', 403, null]],
    ['a message to an agent', call('agent', sending), 'policy.forbidden', ['json-rpc-error', 200, 'm']],
    ['a message to an agent without a token', call('agent', sending), 'token.missing', ['json-rpc-error', 401, 'm']],
    [
      'a message to an agent without an id',
      call('agent', { ...sending, id: undefined }),
      'policy.forbidden',
      ['json-rpc-error', 403, null],
    ],
    ['a message with `denials: http`', call('old', sending), 'task.revoked', ['json-rpc-error', 403, 'm']],
    ['a route', call('web', toolCall), 'policy.forbidden', ['http', 403]],
    ['a route of an A2A agent', call('web', '{}', { 'a2a-version': '1.0' }), 'policy.forbidden', ['a2a-http', 403]],
    [
      'a path of an A2A agent that is not known',
      call('nowhere', '{}', { 'a2a-version': '1.0' }),
      'action.unknown',
      ['a2a-http', 403],
    ],
    [
      'the stream of a session that names a version of A2A',
      call('tools', '', { 'a2a-version': '1.0' }, { method: 'GET' }),
      'policy.forbidden',
      ['http', 403],
    ],
    ['gRPC', call('web', '', { 'content-type': 'application/grpc' }), 'task.exhausted', ['grpc', 403]],
    ['gRPC with a codec', call('web', '', { 'content-type': 'application/grpc+proto' }), 'internal', ['grpc', 503]],
    ['gRPC-Web', call('web', '', { 'content-type': 'application/grpc-web' }), 'task.exhausted', ['http', 403]],
  ])('%s', (_name, given, code, expected) => {
    expect(of(given, code)).toEqual(expected);
  });

  it.each([
    ['application/json, text/event-stream', 'application/json'],
    ['text/event-stream', 'text/event-stream'],
    ['Text/Event-Stream;q=1', 'text/event-stream'],
    ['text/event-stream, */*;q=0.1', 'application/json'],
    ['*/*', 'application/json'],
  ])('answers a client that accepts %s with %s', (accept, media) => {
    expect(
      denialFormOf(deniedCallFrom(call('agent', sending, { accept }), catalog), reasons['policy.forbidden']),
    ).toMatchObject({
      media,
    });
  });

  it('has codes that no SDK takes for a fault of its own: -32001 is a timeout, at which clients drop their session', () => {
    expect(denialFormOf(deniedCallFrom(call('tools', listing), catalog), reasons['policy.forbidden'])).toMatchObject({
      code: -32_010,
    });
    expect(denialFormOf(deniedCallFrom(call('agent', sending), catalog), reasons['policy.forbidden'])).toMatchObject({
      code: -32_099,
    });
  });
});
