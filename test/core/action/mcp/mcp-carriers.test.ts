import { describe, expect, it } from '@jest/globals';
import type { HttpCall } from '../../../../src/core/action/http/call.ts';
import {
  MODERN,
  AT_11,
  AT_26,
  post,
  request,
  at11,
  at26,
  tool,
  answer,
  accepted,
  outcome,
  unnamed,
  unasked,
  noTask,
} from '../bank-calls.ts';

/** Everything that an agent can send to an MCP server beside the arguments of a tool. Issue 37, point 2. */
const NO_SESSION = 'request.malformed: the header `mcp-session-id` is not 1 to 2048 visible characters of ASCII';
const ending = (headers: Readonly<Record<string, string>>, query = ''): HttpCall =>
  post({}, { ...AT_11, ...headers }, { method: 'DELETE', body: null, query });

describe('a carrier of MCP beside `arguments` is denied', () => {
  it.each<[string, HttpCall, string]>([
    [
      '1: `inputResponses`',
      tool('pay', { amount: 1 }, { inputResponses: { amount: accepted({ amount: 1_000_000 }) } }),
      unnamed('bank.pay', '/inputResponses/amount'),
    ],
    [
      '1: `inputResponses` of an older revision',
      at11('tools/call', {
        name: 'transfer',
        arguments: { amount: 1 },
        inputResponses: { limit: accepted({ amount: 5 }) },
      }),
      'action.arguments: arguments of `bank.transfer`: the call has another parameter, `inputResponses`',
    ],
    [
      '1: an unnamed member of an answer',
      tool('transfer', { amount: 1 }, { inputResponses: { limit: accepted({ total: 1_000_000 }) } }),
      unnamed('bank.transfer', '/inputResponses/limit/content/total'),
    ],
    [
      '1: an answer in other case',
      tool('transfer', { amount: 1 }, { inputResponses: { limit: { action: 'accept', CONTENT: { amount: 5 } } } }),
      'action.arguments: arguments of `bank.transfer`: the answer `limit` has a member that its kind of answer does not have',
    ],
    [
      '1: an answer with two meanings',
      tool('transfer', { amount: 1 }, { inputResponses: { limit: { action: 'accept', content: {}, roots: [] } } }),
      'action.arguments: arguments of `bank.transfer`: the answer `limit` can be read as two kinds of answers',
    ],
    [
      '1: an answer of another type',
      tool('transfer', { amount: 1 }, { inputResponses: { limit: accepted({ amount: '5' }) } }),
      'action.arguments: arguments of `bank.transfer`: `amount` must be a safe integer',
    ],
    [
      '1: a refused question with content',
      tool('transfer', { amount: 1 }, { inputResponses: { limit: { action: 'decline', content: { amount: 5 } } } }),
      'action.arguments: arguments of `bank.transfer`: the answer `limit` refuses the question, and has content',
    ],
    [
      '1: answers to a list',
      at26('tools/list', { inputResponses: {} }),
      'action.arguments: arguments of `bank.mcp.session`: the call has another parameter, `inputResponses`',
    ],
    ['2: `requestState`', tool('pay', { amount: 1 }, { requestState: 'x' }), unnamed('bank.pay', '/requestState')],
    [
      '2: a `requestState` of 9 KiB',
      tool('transfer', { amount: 1 }, { requestState: 'x'.repeat(9_216) }),
      'request.malformed: the parameter `requestState` of `tools/call` is not valid',
    ],
    [
      '3: a key of `_meta` at a tool with `otherArguments: deny`',
      tool('pay', { amount: 1 }, { _meta: { 'openai/locale': 'x' } }),
      unnamed('bank.pay', '/_meta/openai/locale'),
    ],
    [
      '3: a key of `_meta` at a tool of high risk',
      tool('erase', {}, { _meta: { amount: 1 } }),
      unnamed('bank.erase', '/_meta/amount'),
    ],
    [
      '3: baggage at a tool of high risk',
      tool('erase', {}, { _meta: { baggage: 'amount=1' } }),
      unnamed('bank.erase', '/_meta/baggage'),
    ],
    [
      '3: an icon of the client at a tool of high risk',
      tool('erase', {}, { _meta: { 'io.modelcontextprotocol/clientInfo': { name: 'x', version: '1', icons: [] } } }),
      unnamed('bank.erase', '/_meta/io.modelcontextprotocol/clientInfo/icons'),
    ],
    [
      '3: an experiment of the client at a tool of high risk',
      tool('erase', {}, { _meta: { 'io.modelcontextprotocol/clientCapabilities': { experimental: { amount: {} } } } }),
      unnamed('bank.erase', '/_meta/io.modelcontextprotocol/clientCapabilities/experimental/amount'),
    ],
    ...['io.modelcontextprotocol/related-task', 'x402/payment', 'fastmcp'].map((key): [string, HttpCall, string] => [
      `3: \`${key}\` of \`_meta\`, by which servers act, at any tool`,
      at11('tools/call', { name: 'balance', _meta: { [key]: {} } }),
      unnamed('bank.balance', `/_meta/${key}`),
    ]),
    [
      '3: a `_meta` among the arguments',
      at11('tools/call', { name: 'balance', arguments: { _meta: { fastmcp: {} } } }),
      unnamed('bank.balance', '/arguments/_meta'),
    ],
    [
      '3: a `_meta` that is not an object',
      at11('tools/call', { name: 'balance', _meta: [] }),
      'request.malformed: `_meta` must be an object',
    ],
    [
      '3: a level that there is not',
      at26('tools/list', {}, { 'io.modelcontextprotocol/logLevel': 'all' }),
      'request.malformed: `io.modelcontextprotocol/logLevel` of `_meta` is not valid',
    ],
    [
      '4: an unknown parameter',
      at11('tools/call', { name: 'balance', arguments: {}, amount: 1_000_000 }),
      'action.arguments: arguments of `bank.balance`: the call has another parameter, `amount`',
    ],
    [
      '4: an unknown parameter of a list',
      at11('tools/list', { amount: 1 }),
      'action.arguments: arguments of `bank.mcp.session`: the call has another parameter, `amount`',
    ],
    [
      '4: an unknown parameter of a notification',
      post({ jsonrpc: '2.0', method: 'notifications/initialized', params: { amount: 1 } }, AT_11),
      'action.arguments: arguments of `bank.mcp.session`: the call has another parameter, `amount`',
    ],
    [
      '5: a call that begins a task',
      at11('tools/call', { name: 'pay', arguments: { amount: 1 }, task: { ttl: 1 } }),
      unnamed('bank.pay', '/task'),
    ],
    [
      '6: `tasks/update`',
      at26('tasks/update', { taskId: 't', inputResponses: { page: accepted({ page: 1 }) } }),
      noTask,
    ],
    ['7: `tasks/cancel`', at11('tasks/cancel', { taskId: 't' }), noTask],
    ['7: `tasks/get`, `tasks/result` and `tasks/list` alike', at11('tasks/result', { taskId: 't' }), noTask],
    ['8: an elicitation that nobody asked for', answer(accepted({ amount: 1_000_000 })), unasked],
    [
      '8: an answer in a revision that has none',
      answer(accepted({}), AT_26),
      'request.malformed: clients of revision 2026-07-28 post no answers',
    ],
    [
      '9: sampling that nobody asked for',
      answer({ role: 'assistant', model: 'm', content: { type: 'text', text: 'pay 1000000' } }),
      unasked,
    ],
    [
      '9: sampling with the call of a tool',
      answer({
        role: 'assistant',
        model: 'm',
        content: [{ type: 'tool_use', id: '1', name: 'pay', input: { amount: 1_000_000 } }],
      }),
      'action.arguments: the answer is not one text of a model',
    ],
    ['10: roots that nobody asked for', answer({ roots: [{ uri: 'file:///' }] }), unasked],
    [
      '10: an answer with a member that there is not',
      answer({ action: 'accept', amount: 1 }),
      'action.arguments: the answer has a member that its kind of answer does not have',
    ],
    [
      '10: the data of an error',
      post({ jsonrpc: '2.0', id: 0, error: { code: 1, message: '', data: { amount: 1 } } }, AT_11),
      'action.arguments: the error of the answer has more than a code and a short text',
    ],
    [
      '11: an argument of a prompt',
      at11('prompts/get', { name: 'greet', arguments: { amount: '1000000' } }),
      unnamed('bank.prompt', '/arguments/amount'),
    ],
    [
      '12: the completion of an argument',
      at11('completion/complete', {
        ref: { type: 'ref/prompt', name: 'greet' },
        argument: { name: 'amount', value: '1' },
      }),
      unnamed('bank.prompt', '/arguments/amount'),
    ],
    [
      '12: the context of a completion',
      at11('completion/complete', {
        ref: { type: 'ref/prompt', name: 'greet' },
        argument: { name: 'city', value: 'x' },
        context: { arguments: { amount: '1' } },
      }),
      unnamed('bank.prompt', '/arguments/amount'),
    ],
    [
      '12: the completion of a template',
      at11('completion/complete', {
        ref: { type: 'ref/resource', uri: 'file:///{x}' },
        argument: { name: 'x', value: '1' },
      }),
      unnamed('bank.resource', '/arguments'),
    ],
    [
      '13: the query of the URL',
      post(request('ping', {}), AT_11, { query: 'amount=1000000' }),
      unnamed('bank.mcp.session', 'amount'),
    ],
    [
      '13: the text of a notification',
      post(
        { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1, reason: 'x'.repeat(257) } },
        AT_11,
      ),
      'request.malformed: the parameter `reason` of `notifications/cancelled` is not valid',
    ],
    [
      '13: the id of an event of a stream, if there is none',
      post(request('ping', {}), { ...AT_11, 'last-event-id': 'x' }),
      'request.malformed: the header `last-event-id` does not resume a stream',
    ],
    [
      '13: a method of another revision',
      at26('ping'),
      'request.malformed: revision 2026-07-28 does not have the method `ping`',
    ],
    [
      '13: a request of 2026-07-28 that a server takes for an older one',
      post(request('tools/list', {}), { ...AT_26, 'mcp-method': 'tools/list' }),
      'request.malformed: revision 2026-07-28 requires `io.modelcontextprotocol/protocolVersion` in `_meta`',
    ],
    [
      '13: a request without a version that a server takes for one of 2026-07-28',
      post(request('tools/list', { _meta: MODERN })),
      'request.not-canonical: the header `mcp-protocol-version` differs from the message',
    ],
    [
      '14: a body if a session ends',
      post({ amount: 1_000_000 }, AT_11, { method: 'DELETE' }),
      'request.unsupported: a `DELETE` of MCP with a body is not supported',
    ],
    [
      '14: the name of a tool if a session ends',
      ending({ 'mcp-name': 'pay' }),
      'request.not-canonical: a `DELETE` of MCP has the header `mcp-name`',
    ],
    [
      '14: the header of an argument if a session ends',
      ending({ 'mcp-param-amount': '1' }),
      'request.not-canonical: a `DELETE` of MCP has the header `mcp-param-amount`',
    ],
    ['14: the query if a session ends', ending({}, 'amount=1'), unnamed('bank.mcp.session', 'amount')],
    ['14: a session id of 3,000 characters', ending({ 'mcp-session-id': 'x'.repeat(3_000) }), NO_SESSION],
    ['14: a session id that is a text', ending({ 'mcp-session-id': 'pay 1000000' }), NO_SESSION],
    [
      '14: such a session id of a message',
      post(request('ping', {}), { ...AT_11, 'mcp-session-id': 'pay 1000000' }),
      NO_SESSION,
    ],
    ['13: a resource that is listened to', at26('subscriptions/listen', { notifications: { taskIds: ['t'] } }), noTask],
  ])('%s', (_name, call, expected) => {
    expect(outcome(call)).toBe(expected);
  });

  it('end a session with nothing else', () => {
    expect(outcome(ending({}))).toEqual(['bank.mcp.session', {}]);
  });
});
