import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { HttpCall } from '../../../../src/core/action/http/call.ts';
import { mcpActionFrom } from '../../../../src/core/action/mcp/mcp.ts';
import { followUpActionFrom, isFollowUp } from '../../../../src/core/action/mcp/mcp-follow-up.ts';
import { noPriorCalls } from '../../../../src/core/action/mcp/prior-calls.ts';
import { MCP_REVISIONS } from '../../../../src/core/action/mcp/mcp-headers.ts';
import { isDeny } from '../../../../src/core/decision/decision.ts';
import { mustCatalog } from '../../../builders/catalog.ts';
import { httpCall, headersOf } from '../../../builders/http-call.ts';

const catalog = mustCatalog(
  `servers:
  tools:
    hosts: [tools.acme.test]
    audience: https://tools.acme.test
    mcp:
      path: /mcp
      tools:
        create_ticket:
          action: tickets.create
          risk: medium
          args:
            title: { required: true }
            priority: { type: long }
            notify: { type: strings }
        'café €': { action: tickets.cafe, risk: low }
        close_ticket:
          action: tickets.close
          risk: low
          otherArguments: deny
          args: { id: { type: long }, note: { pointer: /note/text } }
      resources: { action: tools.read, risk: low }
  open:
    hosts: [open.acme.test]
    audience: https://open.acme.test
    mcp:
      path: /mcp
      prompts: { action: open.prompt, risk: low }
      other: { action: open.other, risk: high }
`,
);

type Headers = Readonly<Record<string, string | readonly string[]>>;

const call = (body: unknown, headers: Headers = {}, over: Partial<HttpCall> = {}): HttpCall =>
  httpCall({
    method: 'POST',
    host: 'tools.acme.test',
    path: '/mcp',
    headers: headersOf({ 'content-type': 'application/json', ...headers }),
    body: typeof body === 'string' ? Buffer.from(body) : Buffer.from(JSON.stringify(body)),
    ...over,
  });

const message = (method: string, params?: unknown, id: unknown = 1): object => ({
  jsonrpc: '2.0',
  ...(id === undefined ? {} : { id }),
  method,
  ...(params === undefined ? {} : { params }),
});
const notification = (method: string, params?: unknown): object => ({
  jsonrpc: '2.0',
  method,
  ...(params === undefined ? {} : { params }),
});
/** The `_meta` of a request, which names the revision from 2026-07-28 on. */
const metaOf = (revision: string): object =>
  revision === '2026-07-28'
    ? {
        _meta: {
          'io.modelcontextprotocol/protocolVersion': revision,
          'io.modelcontextprotocol/clientCapabilities': {},
        },
      }
    : {};
const modern = (method: string, params: object = {}): HttpCall =>
  call(message(method, { ...metaOf('2026-07-28'), ...params }), {
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': method,
  });
const create = (args: unknown): object => message('tools/call', { name: 'create_ticket', arguments: args });

function outcome(given: HttpCall): unknown {
  const at = catalog.serverAt(given.host, given.segments);
  const target = at.kind === 'server' ? catalog.find(at.server, given.method, given.segments) : undefined;
  if (target?.kind !== 'mcp') throw new Error('not a call of MCP');
  const attempt = mcpActionFrom(given, target.mcp);
  const action = isFollowUp(attempt) ? followUpActionFrom(attempt, noPriorCalls) : attempt;
  return isDeny(action) ? `${action.reason}: ${action.detail}` : [action.id, Object.fromEntries(action.args)];
}

const onOpen = { host: 'open.acme.test' };

describe('mcpActionFrom names the action', () => {
  it.each<[string, HttpCall, string, object]>([
    ['a tool', call(create({ title: 'x', priority: 2 })), 'tickets.create', { title: 'x', priority: 2 }],
    ['a list', call(create({ title: 'x', notify: ['a'] })), 'tickets.create', { title: 'x', notify: ['a'] }],
    [
      'arguments nobody declared',
      call(create({ title: 'x', __entity: { type: 'T', id: 'i' } })),
      'tickets.create',
      { title: 'x' },
    ],
    ['a tool without arguments', call(message('tools/call', { name: 'café €' })), 'tickets.cafe', {}],
    ['a resource', call(message('resources/read', { uri: 'file:///a' })), 'tools.read', { uri: 'file:///a' }],
    ['a subscription', call(message('resources/subscribe', { uri: 'file:///a' })), 'tools.read', { uri: 'file:///a' }],
    ['a prompt', call(message('prompts/get', { name: 'greet' }), {}, onOpen), 'open.prompt', { name: 'greet' }],
    ['a tool that falls to `other`', call(create({}), {}, onOpen), 'open.other', {}],
    ['a method that falls to `other`', call(message('acme/extension'), {}, onOpen), 'open.other', {}],
    ['an answer to the server', call({ jsonrpc: '2.0', id: 1, result: {} }), 'tools.mcp.session', {}],
    ...[
      'initialize',
      'ping',
      'tools/list',
      'resources/list',
      'resources/templates/list',
      'prompts/list',
      'logging/setLevel',
    ].map((method) => [method, call(message(method)), 'tools.mcp.session', {}] as [string, HttpCall, string, object]),
    ...['server/discover', 'subscriptions/listen', 'tools/list', 'prompts/list'].map(
      (method) =>
        [`${method} of 2026-07-28`, modern(method), 'tools.mcp.session', {}] as [string, HttpCall, string, object],
    ),
    ...[
      'notifications/initialized',
      'notifications/cancelled',
      'notifications/progress',
      'notifications/roots/list_changed',
    ].map(
      (method) => [method, call(notification(method)), 'tools.mcp.session', {}] as [string, HttpCall, string, object],
    ),
    [
      'a notification with an id that falls to `other`',
      call(message('notifications/initialized'), {}, onOpen),
      'open.other',
      {},
    ],
    ['a notification that falls to `other`', call(notification('notifications/acme'), {}, onOpen), 'open.other', {}],
    [
      'the status of a task of the client',
      call(notification('notifications/tasks/status'), { 'mcp-protocol-version': '2025-11-25' }),
      'tools.mcp.session',
      {},
    ],
    ['a stream', call('', {}, { method: 'GET' }), 'tools.mcp.session', {}],
    ['the end of a session', call('', {}, { method: 'DELETE', body: null }), 'tools.mcp.session', {}],
    ...MCP_REVISIONS.map(
      (revision) =>
        [
          revision,
          call(message('tools/list', metaOf(revision)), {
            'mcp-protocol-version': revision,
            'mcp-method': 'tools/list',
          }),
          'tools.mcp.session',
          {},
        ] as [string, HttpCall, string, object],
    ),
    [
      'headers that agree',
      call(create({ title: 'x' }), { 'mcp-method': 'tools/call', 'mcp-name': 'create_ticket' }),
      'tickets.create',
      { title: 'x' },
    ],
    [
      'a name in Base64',
      call(message('tools/call', { name: 'café €' }), { 'mcp-name': `=?base64?${base64('café €')}?=` }),
      'tickets.cafe',
      {},
    ],
  ])('%s', (_name, given, id, args) => {
    expect(outcome(given)).toEqual([id, args]);
  });
});

describe('mcpActionFrom denies', () => {
  it.each([
    ['tool', 'tools/call', (name: string) => ({ name })],
    ['resource', 'resources/read', (uri: string) => ({ uri })],
    ['prompt', 'prompts/get', (name: string) => ({ name })],
    ['task', 'tasks/get', (taskId: string) => ({ taskId })],
    [
      'resource',
      'completion/complete',
      (uri: string) => ({ ref: { type: 'ref/resource', uri }, argument: { name: 'x', value: '' } }),
    ],
  ])('denies a %s of 257 characters in %s, and reads 256 characters (issue 37, point 1)', (what, method, params) => {
    const named = (chars: number): unknown =>
      outcome(call(message(method, params('x'.repeat(chars))), { 'mcp-protocol-version': '2025-11-25' }));
    expect(named(257)).toBe(`request.malformed: the name of the ${what} is longer than 256 characters`);
    expect(named(256)).not.toContain('request.malformed');
  });

  it.each<[string, HttpCall, string]>([
    [
      'an unknown tool',
      call(message('tools/call', { name: 'drop' })),
      'action.unknown: the catalog does not name the tool `drop`',
    ],
    [
      'a tool in other case',
      call(message('tools/call', { name: 'Create_Ticket' })),
      'action.unknown: the catalog does not name the tool `Create_Ticket`',
    ],
    [
      'a tool called `__proto__`',
      call('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"__proto__"}}'),
      'action.unknown: the catalog does not name the tool `__proto__`',
    ],
    [
      'a family the catalog does not name',
      call(message('prompts/get', { name: 'x' })),
      'action.unknown: the catalog does not name the prompt `x`',
    ],
    ['an unknown method', call(message('acme/x')), 'action.unknown: the catalog does not name the method `acme/x`'],
    [
      'a method in other case',
      call(message('Tools/call', { name: 'create_ticket' })),
      'action.unknown: the catalog does not name the method `Tools/call`',
    ],
    // Issue 14: the session action covered every method that began with `notifications/`.
    ...[
      ['a notification with an id', message('notifications/initialized')],
      ['a notification with an empty id', message('notifications/initialized', {}, '')],
      ['a notification no revision has', notification('notifications/tools/call')],
      ['a notification of the server', notification('notifications/tools/list_changed')],
      ['a notification of no name', notification('notifications/')],
      ['a request that calls itself a notification', message('notifications/acme/delete-all')],
    ].map(
      ([name, body]) =>
        [
          name,
          call(body),
          `action.unknown: the catalog does not name the method \`${(body as { readonly method: string }).method}\``,
        ] as [string, HttpCall, string],
    ),
    ...['tools/call', 'tools/list', 'initialize', 'tasks/cancel'].flatMap((method) =>
      ['tools.acme.test', 'open.acme.test'].map(
        (host) =>
          [
            `\`${method}\` without an id at ${host}`,
            call(notification(method, { name: 'create_ticket', taskId: 't' }), {}, { host }),
            `request.malformed: the method \`${method}\` of MCP is a request, which must have an id`,
          ] as [string, HttpCall, string],
      ),
    ),
    ['a missing argument', call(create({})), 'action.arguments: arguments of `tickets.create`: `title` is missing'],
    [
      'an argument of another type',
      call(create({ title: 'x', priority: '2' })),
      'action.arguments: arguments of `tickets.create`: `priority` must be a safe integer',
    ],
    [
      'an argument that is an entity',
      call(create({ title: { __entity: { type: 'T', id: 'i' } } })),
      'action.arguments: arguments of `tickets.create`: `title` must be a string',
    ],
    [
      'an integer beyond 2^53',
      call(
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_ticket","arguments":{"title":"x","priority":9007199254740993}}}',
      ),
      'action.arguments: arguments of `tickets.create`: `priority` must be a safe integer',
    ],
    [
      'an argument in other case',
      call(create({ title: 'x', Title: 'y' })),
      'action.arguments: arguments of `tickets.create`: `title` cannot be distinguished from a member that is spelt differently',
    ],
    ['a tool without name', call(message('tools/call', {})), 'request.malformed: the tool has no name'],
    [
      'arguments as a list',
      call(message('tools/call', { name: 'create_ticket', arguments: [] })),
      'request.malformed: the arguments must be an object',
    ],
    [
      'a resource without URI',
      call(message('resources/read', { uri: 1 })),
      'request.malformed: the resource has no name',
    ],
    [
      'a completion of nothing',
      call(message('completion/complete', { ref: { type: 'x' }, argument: { name: 'a', value: '' } })),
      'request.malformed: the completion must refer to a prompt or a resource',
    ],
    [
      'a second name',
      call(message('tools/call', { name: 'create_ticket', Name: 'drop' })),
      'request.not-canonical: a parameter can be taken for `name`',
    ],
    [
      'second arguments',
      call(message('tools/call', { name: 'create_ticket', ARGUMENTS: {} })),
      'request.not-canonical: a parameter can be taken for `arguments`',
    ],
    [
      'a second reference',
      call(message('completion/complete', { ref: { type: 'ref/prompt', Type: 'ref/resource' } })),
      'request.not-canonical: a member of `ref` can be taken for `type`',
    ],
    ['a batch', call([create({ title: 'x' })]), 'request.unsupported: the message is a batch'],
    [
      'a stream with a body',
      call('{}', {}, { method: 'DELETE' }),
      'request.unsupported: a `DELETE` of MCP with a body is not supported',
    ],
    [
      'a stream with a method',
      call('', { 'mcp-method': 'ping' }, { method: 'GET' }),
      'request.not-canonical: a `GET` of MCP has the header `mcp-method`',
    ],
    ...['2024-11-05', '2026-07-29', '', 'x'].map(
      (revision) =>
        [
          `revision \`${revision}\``,
          call(message('ping'), { 'mcp-protocol-version': revision }),
          'request.unsupported: the revision of MCP is not supported',
        ] as [string, HttpCall, string],
    ),
    [
      'two revisions',
      call(message('ping'), { 'mcp-protocol-version': ['2025-06-18', '2025-11-25'] }),
      'request.not-canonical: the header `mcp-protocol-version` has more than one value',
    ],
    [
      'an unknown revision of a stream',
      call('', { 'mcp-protocol-version': 'x' }, { method: 'GET' }),
      'request.unsupported: the revision of MCP is not supported',
    ],
    [
      'another method in the header',
      call(create({ title: 'x' }), { 'mcp-method': 'tools/list' }),
      'request.not-canonical: the header `mcp-method` differs from the message',
    ],
    [
      'a method in the header of an answer',
      call({ jsonrpc: '2.0', id: 1, result: {} }, { 'mcp-method': 'ping' }),
      'request.not-canonical: the header `mcp-method` differs from the message',
    ],
    [
      'another name in the header',
      call(create({ title: 'x' }), { 'mcp-name': 'list_tickets' }),
      'request.not-canonical: the header `mcp-name` differs from the message',
    ],
    [
      'a name in the header of what has none',
      call(message('tools/list'), { 'mcp-name': 'x' }),
      'request.not-canonical: the header `mcp-name` differs from the message',
    ],
    [
      'no method header if the revision has it',
      call(message('ping'), { 'mcp-protocol-version': '2026-07-28' }),
      'request.malformed: revision 2026-07-28 requires the header `mcp-method`',
    ],
    [
      'another revision in the message',
      call(message('ping', { _meta: { 'io.modelcontextprotocol/protocolVersion': '2025-06-18' } }), {
        'mcp-protocol-version': '2025-11-25',
      }),
      'request.not-canonical: the header `mcp-protocol-version` differs from the message',
    ],
    ...[
      ['raw text beyond ASCII', 'café €'],
      ['another spelling of the Base64', `=?base64?${base64('café €')}=?=`],
      ['upper-case markers', `=?BASE64?${base64('café €')}?=`],
      ['Base64 of no UTF-8', `=?base64?${Buffer.from([0xff]).toString('base64')}?=`],
      ['Base64 without end', `=?base64?${base64('café €')}`],
    ].map(
      ([name, header = '']) =>
        [
          `a name as ${name}`,
          call(message('tools/call', { name: 'café €' }), { 'mcp-name': header }),
          'request.not-canonical: the header `mcp-name` differs from the message',
        ] as [string, HttpCall, string],
    ),
  ])('%s', (_name, given, expected) => {
    expect(outcome(given)).toBe(expected);
  });
});

const close = (args: unknown, more: object = {}) =>
  call(message('tools/call', { name: 'close_ticket', arguments: args, ...more }));

describe('mcpActionFrom with `otherArguments: deny`', () => {
  it('takes the named arguments, and what is no argument of the tool', () => {
    const meta = { _meta: { progressToken: 1 } };
    expect(outcome(close({ id: 7, note: { text: 'x' } }, meta))).toEqual(['tickets.close', { id: 7, note: 'x' }]);
    expect(outcome(call(message('tools/call', { name: 'close_ticket' })))).toEqual(['tickets.close', {}]);
  });

  it.each<[string, unknown, string]>([
    ['another argument', { id: 7, force: true }, '/force'],
    ['another argument that is `null`', { id: 7, force: null }, '/force'],
    ['another argument within a named argument', { note: { text: 'x', to: 'all' } }, '/note/to'],
    ['the name of an argument in other case', { ID: 7 }, '/ID'],
    ['the name of a member that every object has', JSON.parse('{"__proto__":{}}'), '/__proto__'],
    ['a name of lines and quotes', { 'a`\n\u2028"': 1 }, '/a\\u{60}\\u{a}\\u{2028}"'],
    ['a name of 5,000 characters', { ['k'.repeat(5000)]: 1 }, `/${'k'.repeat(99)}`],
  ])('denies %s', (_name, args, name) => {
    expect(outcome(close(args))).toBe(
      `action.arguments: arguments of \`tickets.close\`: the catalog does not name \`${name}\`, and the action takes no other arguments`,
    );
  });
});

describe('mcpActionFrom', () => {
  it('tells which calls are decided on headers, and keeps the id of the request', () => {
    const at = catalog.serverAt('tools.acme.test', ['mcp']);
    if (at.kind !== 'server') throw new Error('no server');
    const mcp = catalog.find(at.server, 'POST', ['mcp']);
    if (mcp?.kind !== 'mcp') throw new Error('not a server of MCP');
    expect(mcpActionFrom(call('', {}, { method: 'GET' }), mcp.mcp)).toMatchObject({
      isDecidedOnHeaders: true,
      isSession: true,
      jsonRpcId: null,
    });
    expect(mcpActionFrom(call(create({ title: 'x' })), mcp.mcp)).toMatchObject({
      isDecidedOnHeaders: false,
      isSession: false,
      jsonRpcId: 1,
      kind: 'mcp',
      mcp: { method: 'tools/call', tool: 'create_ticket' },
    });
  });

  it('never throws, and matches a tool by its exact name only', () => {
    const names = fc.oneof(
      fc.constantFrom('name', 'Name', 'arguments', 'uri', 'ref', '_meta', '__proto__'),
      fc.string(),
    );
    const params = fc.dictionary(names, fc.oneof(fc.constantFrom('create_ticket', 'drop'), fc.jsonValue()));
    fc.assert(
      fc.property(
        fc.constantFrom('tools/call', 'resources/read', 'completion/complete', 'x'),
        params,
        (method, given) => {
          const got = outcome(call(message(method, given)));
          const isCreate = Array.isArray(got) && got[0] === 'tickets.create';
          expect(!isCreate || (method === 'tools/call' && given['name'] === 'create_ticket')).toBe(true);
        },
      ),
    );
  });
});

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
