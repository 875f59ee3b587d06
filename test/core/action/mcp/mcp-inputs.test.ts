import { describe, expect, it } from '@jest/globals';
import type { HttpCall } from '../../../../src/core/action/http/call.ts';
import { noPriorCalls } from '../../../../src/core/action/mcp/prior-calls.ts';
import type { PriorCalls } from '../../../../src/core/action/mcp/prior-calls.ts';
import {
  AT_11,
  post,
  request,
  at11,
  at26,
  tool,
  answer,
  accepted,
  transferred,
  reported,
  outcome,
  carriedIn,
  unnamed,
  unasked,
  noTask,
} from '../bank-calls.ts';

describe('what the catalog names is read', () => {
  it.each<[string, HttpCall, PriorCalls, unknown]>([
    [
      'an answer and the argument of its name are both judged',
      tool('transfer', { amount: 1 }, { inputResponses: { limit: accepted({ amount: 1_000_000 }) } }),
      noPriorCalls,
      ['bank.transfer', { amount: 1_000_000 }, { amount: 1 }],
    ],
    [
      'equal ones are one',
      tool('transfer', { amount: 5 }, { inputResponses: { limit: accepted({ amount: 5, remark: 'x' }) } }),
      noPriorCalls,
      ['bank.transfer', { amount: 5, note: 'x' }],
    ],
    [
      'answers of one name are all judged',
      tool(
        'transfer',
        { amount: 5 },
        {
          inputResponses: {
            limit: accepted({ remark: 'a' }),
            summary: { role: 'assistant', model: 'm', content: { type: 'text', text: 'b' } },
          },
        },
      ),
      noPriorCalls,
      ['bank.transfer', { amount: 5, note: 'b' }, { amount: 5, note: 'a' }],
    ],
    [
      'a refused question',
      tool('transfer', { amount: 5 }, { inputResponses: { limit: { action: 'decline' } }, requestState: 'sealed' }),
      noPriorCalls,
      ['bank.transfer', { amount: 5 }],
    ],
    [
      'a consent',
      tool('transfer', { amount: 5 }, { inputResponses: { confirm: { action: 'accept' } } }),
      noPriorCalls,
      ['bank.transfer', { amount: 5 }],
    ],
    [
      'a typed key of `_meta`',
      tool('transfer', { amount: 5 }, { _meta: { 'acme/account': 'a' } }),
      noPriorCalls,
      ['bank.transfer', { amount: 5, account: 'a' }],
    ],
    [
      'a key of `_meta` of the server at a closed tool',
      tool('pay', { amount: 5 }, { _meta: { 'acme/locale': 'de' } }),
      noPriorCalls,
      ['bank.pay', { amount: 5 }],
    ],
    [
      'a key of the query',
      post(request('ping', {}), AT_11, { query: 'profile=a' }),
      noPriorCalls,
      ['bank.mcp.session', {}],
    ],
    [
      'roots',
      answer({ roots: [{ uri: 'file:///a', name: 'a' }] }),
      { ...noPriorCalls, calls: [{ action: 'bank.folders', args: new Map() }] },
      ['bank.folders', { folders: ['file:///a'] }],
    ],
    [
      'an argument of a prompt',
      at11('prompts/get', { name: 'greet', arguments: { city: 'Rome' } }),
      noPriorCalls,
      ['bank.prompt', { name: 'greet', city: 'Rome' }],
    ],
    [
      'the completion of one',
      at11('completion/complete', {
        ref: { type: 'ref/prompt', name: 'greet', title: 'Greet' },
        argument: { name: 'city', value: 'Ro' },
      }),
      noPriorCalls,
      ['bank.prompt', { name: 'greet', city: 'Ro' }],
    ],
    [
      'resources that are listened to',
      at26('subscriptions/listen', {
        notifications: { toolsListChanged: true, resourceSubscriptions: ['a:1', 'a:2'] },
      }),
      noPriorCalls,
      ['bank.resource', { uri: 'a:2' }, { uri: 'a:1' }],
    ],
    [
      'a posted answer continues the call that asked',
      answer(accepted({ amount: 7 })),
      transferred,
      ['bank.transfer', { amount: 7 }, { amount: 1 }],
    ],
    [
      'a posted answer is judged by each call that can have asked',
      answer(accepted({})),
      { ...transferred, calls: [...transferred.calls, { action: 'bank.transfer', args: new Map([['amount', 2]]) }] },
      ['bank.transfer', { amount: 1 }, { amount: 1 }, { amount: 2 }, { amount: 2 }],
    ],
    [
      'a task continues the call that began it',
      at11('tasks/get', { taskId: 't' }),
      reported,
      ['bank.report', { year: 2026 }],
    ],
    [
      'an answer to a task',
      at26('tasks/update', { taskId: 't', inputResponses: { page: accepted({ page: 3 }) } }),
      reported,
      ['bank.report', { year: 2026, page: 3 }],
    ],
  ])('%s', (_name, call, prior, expected) => {
    expect(outcome(call, prior)).toEqual(expected);
  });

  it.each<[string, HttpCall, PriorCalls, string]>([
    [
      'an answer that no question of the tool fits',
      answer(accepted({ total: 1 })),
      transferred,
      unnamed('bank.transfer', '/result/content/total'),
    ],
    [
      'an answer without a session',
      answer(accepted({ amount: 1 }), { 'mcp-protocol-version': '2025-11-25' }),
      transferred,
      unasked,
    ],
    [
      'a second answer to the same request',
      answer(accepted({ amount: 1 })),
      { ...transferred, isAnswered: (id) => id === 0 },
      'action.unasked: the question of the server was answered before',
    ],
    [
      'an answer if calls were forgotten',
      answer(accepted({ amount: 1 })),
      { ...transferred, isCut: true },
      'action.unasked: more calls of the session than are remembered may be meant',
    ],
    [
      'an answer to a tool that only begins tasks',
      answer({ roots: [] }),
      reported,
      'action.arguments: arguments of `bank.report`: the answer is not of the kind `content`',
    ],
    ['a task if no call can have begun a task', at11('tasks/get', { taskId: 't' }), transferred, noTask],
    [
      'an answer to a task with an unnamed question',
      at26('tasks/update', { taskId: 't', inputResponses: { sum: accepted({}) } }),
      reported,
      unnamed('bank.report', '/inputResponses/sum'),
    ],
  ])('and not %s', (_name, call, prior, expected) => {
    expect(outcome(call, prior)).toBe(expected);
  });
});

describe('a server of low risk whose questions the catalog names', () => {
  it('takes no answer that nobody asked for as the session', () => {
    const sent = post({ jsonrpc: '2.0', id: 0, result: accepted({ days: 1_000 }) }, AT_11, { host: 'shop.acme.test' });
    expect(outcome(sent)).toBe(unasked);
    expect(outcome(sent, { ...noPriorCalls, calls: [{ action: 'shop.lend', args: new Map([['days', 1]]) }] })).toEqual([
      'shop.lend',
      { days: 1_000 },
      { days: 1 },
    ]);
  });
});

describe('folders of the client', () => {
  const roots = { roots: [{ uri: 'file:///a' }] };
  const folders: PriorCalls = { ...noPriorCalls, calls: [{ action: 'bank.folders', args: new Map() }] };

  it('are the action of the server for them, outside of any call', () => {
    const at = (prior: PriorCalls, headers = AT_11): unknown =>
      outcome(post({ jsonrpc: '2.0', id: 0, result: roots }, headers, { host: 'rooted.acme.test' }), prior);
    expect(at(noPriorCalls)).toEqual(['rooted.folders', { roots: ['file:///a'] }]);
    expect(at(noPriorCalls, { 'mcp-protocol-version': '2025-06-18' })).toEqual([
      'rooted.folders',
      { roots: ['file:///a'] },
    ]);
    expect(outcome(answer(roots), folders)).toEqual(['bank.folders', { folders: ['file:///a'] }]);
  });
});

describe('what harms nobody passes', () => {
  it.each<[string, HttpCall, string]>([
    ...['openai/userAgent', 'claudecode/toolUseId', 'vscode.conversationId', 'x-codex-turn-metadata', 'baggage'].map(
      (key): [string, HttpCall, string] => [
        `\`${key}\` of \`_meta\` at an open tool`,
        at11('tools/call', { name: 'transfer', arguments: { amount: 1 }, _meta: { [key]: 'x' } }),
        'bank.transfer',
      ],
    ),
    [
      'the keys of the specification at a tool of high risk',
      tool(
        'erase',
        {},
        { _meta: { progressToken: 7, traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`, tracestate: 'a=b' } },
      ),
      'bank.erase',
    ],
    ['a refused question of a server', answer({ action: 'cancel' }), 'bank.mcp.session'],
    ['the answer to a ping', answer({}), 'bank.mcp.session'],
    [
      'an error with a short text',
      post({ jsonrpc: '2.0', id: 'u-1', error: { code: -32601, message: 'Method not found' } }, AT_11),
      'bank.mcp.session',
    ],
    [
      'an answer at a server of low risk',
      post({ jsonrpc: '2.0', id: 0, result: accepted({ a: 1 }) }, AT_11, { host: 'wiki.acme.test' }),
      'wiki.mcp.session',
    ],
    [
      'a task at a server of low risk',
      post(request('tasks/get', { taskId: 't' }), AT_11, { host: 'wiki.acme.test' }),
      'wiki.mcp.session',
    ],
    [
      'arguments of prompts that the catalog opens',
      post(request('prompts/get', { name: 'x', arguments: { any: 'y' } }), AT_11, { host: 'wiki.acme.test' }),
      'wiki.prompt',
    ],
    [
      'icons of a client that connects',
      at11('initialize', {
        protocolVersion: '2025-11-25',
        capabilities: { roots: { listChanged: true }, experimental: { x: {} } },
        clientInfo: { name: 'x', version: '1', icons: [{ src: 'https://x.test' }] },
      }),
      'bank.mcp.session',
    ],
  ])('%s', (_name, call, id) => {
    expect(outcome(call)).toEqual(expect.arrayContaining([id]));
  });
});

describe('what a call carries is named for its record', () => {
  it.each<[string, HttpCall, readonly string[] | undefined]>([
    ['nothing', tool('pay', { amount: 1 }), undefined],
    [
      'answers and state',
      tool('transfer', { amount: 1 }, { inputResponses: { limit: accepted({ amount: 2 }) }, requestState: 'x' }),
      ['inputResponses/limit', 'requestState'],
    ],
    [
      'other keys of `_meta`',
      at11('tools/call', { name: 'balance', _meta: { 'openai/locale': 'de', 'a`\n': 1 } }),
      ['_meta/openai/locale', String.raw`_meta/a\u{60}\u{a}`],
    ],
    [
      'what a client says of itself',
      at11('initialize', {
        protocolVersion: '2025-11-25',
        capabilities: { experimental: { x: {} } },
        clientInfo: { name: 'x', version: '1', websiteUrl: 'https://x.test' },
      }),
      ['clientInfo/websiteUrl', 'capabilities/experimental/x'],
    ],
    [
      'arguments that the catalog does not name',
      tool('transfer', { amount: 1, 'x`': 2, note: { deep: 1 } }),
      [String.raw`arguments/x\u{60}`, 'arguments/note'],
    ],
    ['a refused question', answer({ action: 'decline' }), ['result']],
    [
      'the text of a notification',
      post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1, reason: 'x' } }, AT_11),
      ['requestId', 'reason'],
    ],
  ])('%s', (_name, call, names) => {
    expect(carriedIn(call)).toEqual(names);
  });
});
