import { describe, expect, it } from '@jest/globals';
import { a2aActionFrom } from '../../src/action/a2a.ts';
import type { HttpCall } from '../../src/action/call.ts';
import { isDeny } from '../../src/decision/decision.ts';
import { mustCatalog } from '../builders/catalog.ts';
import { httpCall, headersOf } from '../builders/http-call.ts';

const METHODS = [
  'SendMessage',
  'SendStreamingMessage',
  'GetTask',
  'CancelTask',
  'SubscribeToTask',
  'ListTasks',
  'CreateTaskPushNotificationConfig',
  'message/send',
  'message/stream',
  'tasks/get',
  'tasks/cancel',
  'tasks/resubscribe',
  'tasks/pushNotificationConfig/set',
  'tasks/pushNotificationConfig/delete',
  'acme/own',
] as const;

const catalog = mustCatalog(
  `servers:
  booker:
    hosts: [booker.acme.test]
    audience: https://booker.acme.test
    a2a:
      path: /a2a
      methods:
${METHODS.map((method, index) => `        '${method}': { action: booker.m${index}, risk: low, args: { taskId: {}, contextId: {}, role: { pointer: /message/role } } }`).join('\n')}
        named: { action: booker.named, risk: low, args: { url: { pointer: /pushConfig/webhookUrl } } }
        must: { action: booker.must, risk: low, args: { taskId: { required: true } } }
`,
);
const target = catalog.find(catalog.servers.get('booker') as never, 'POST', ['a2a']);
if (target?.kind !== 'a2a') throw new Error('not an agent');
const agent = target.a2a;

const call = (message: object): HttpCall =>
  httpCall({
    method: 'POST',
    host: 'booker.acme.test',
    path: '/a2a',
    headers: headersOf({ 'content-type': 'application/json' }),
    body: Buffer.from(JSON.stringify(message)),
  });

function outcome(message: object): unknown {
  const action = a2aActionFrom(call(message), agent);
  return isDeny(action) ? `${action.reason}: ${action.detail}` : [action.id, Object.fromEntries(action.args)];
}

const request = (method: string, params: object): object => ({ jsonrpc: '2.0', id: 1, method, params });
const idOf = (method: (typeof METHODS)[number]): string => `booker.m${METHODS.indexOf(method)}`;

describe('a2aActionFrom names the action and its task', () => {
  const inMessage = { message: { taskId: 't', contextId: 'c', role: 'user' }, taskId: 'other', id: 'other' };
  it.each<[(typeof METHODS)[number], object, object]>([
    ['SendMessage', inMessage, { taskId: 't', contextId: 'c', role: 'user' }],
    ['SendStreamingMessage', inMessage, { taskId: 't', contextId: 'c', role: 'user' }],
    ['message/send', inMessage, { taskId: 't', contextId: 'c', role: 'user' }],
    ['message/stream', { message: { role: 'user' }, taskId: 'other', contextId: 'other' }, { role: 'user' }],
    ['GetTask', { id: 't', taskId: 'other', contextId: 'other' }, { taskId: 't' }],
    ['CancelTask', { id: 't' }, { taskId: 't' }],
    ['SubscribeToTask', { id: 't' }, { taskId: 't' }],
    ['ListTasks', { contextId: 'c', taskId: 'other' }, { contextId: 'c' }],
    ['CreateTaskPushNotificationConfig', { taskId: 't', id: 'config' }, { taskId: 't' }],
    ['tasks/get', { id: 't' }, { taskId: 't' }],
    ['tasks/cancel', { id: 't' }, { taskId: 't' }],
    ['tasks/resubscribe', { id: 't' }, { taskId: 't' }],
    ['tasks/pushNotificationConfig/set', { taskId: 't' }, { taskId: 't' }],
    ['tasks/pushNotificationConfig/delete', { id: 't' }, { taskId: 't' }],
    ['acme/own', { taskId: 't' }, { taskId: 't' }],
    ['SendMessage', { '': { taskId: 'other' } }, {}],
  ])('%s %j', (method, params, args) => {
    expect(outcome(request(method, params))).toEqual([idOf(method), args]);
  });
});

describe('a2aActionFrom denies', () => {
  it.each<[string, object, string]>([
    ['an unknown method', request('DeleteAll', {}), 'action.unknown: the catalog does not name the method `DeleteAll`'],
    [
      'a method in other case',
      request('sendMessage', {}),
      'action.unknown: the catalog does not name the method `sendMessage`',
    ],
    [
      'an answer',
      { jsonrpc: '2.0', id: 1, result: {} },
      'action.unknown: a JSON-RPC answer cannot be sent to an agent',
    ],
    ['a batch', [request('GetTask', {})], 'request.unsupported: the message is a batch'],
    [
      'a second id',
      request('GetTask', { id: 't', Id: 'x' }),
      'request.not-canonical: a parameter can be taken for `id`',
    ],
    [
      'a task id as protobuf has it',
      request('SendMessage', { message: { taskId: 't', task_id: 'x' } }),
      'request.not-canonical: a parameter can be taken for `taskId`',
    ],
    [
      'a second message',
      request('SendMessage', { Message: {} }),
      'request.not-canonical: a parameter can be taken for `message`',
    ],
    [
      'a task id that is no text',
      request('GetTask', { id: 7 }),
      `action.arguments: arguments of \`${idOf('GetTask')}\`: \`taskId\` must be a string`,
    ],
    ...[
      '{"pushConfig":{"webhook_url":"x"}}',
      '{"push_config":{"webhookUrl":"x"}}',
      '{"pushConfig":{"WebhookURL":"x"}}',
    ].map(
      (params) =>
        [
          `an argument that protobuf finds in ${params}`,
          request('named', JSON.parse(params)),
          'action.arguments: arguments of `booker.named`: a member can be taken for one on the path to `url`, but is spelt differently',
        ] as [string, object, string],
    ),
    ['a missing argument', request('must', {}), 'action.arguments: arguments of `booker.must`: `taskId` is missing'],
  ])('%s', (_name, given, expected) => {
    expect(outcome(given)).toBe(expected);
  });
});
