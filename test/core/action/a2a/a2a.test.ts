import { describe, expect, it } from '@jest/globals';
import { a2aActionFrom } from '../../../../src/core/action/a2a/a2a.ts';
import type { A2aAgent } from '../../../../src/core/action/catalog/catalog.ts';
import type { HttpCall } from '../../../../src/core/action/http/call.ts';
import { isDeny } from '../../../../src/core/decision/decision.ts';
import { mustCatalog } from '../../../builders/catalog.ts';
import { httpCall, headersOf } from '../../../builders/http-call.ts';

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
  sender:
    hosts: [sender.acme.test]
    audience: https://sender.acme.test
    a2a:
      path: /a2a
      send:
        action: sender.ask
        risk: low
        otherArguments: deny
        args:
          text: { pointer: /message/parts/0/text, required: true, maxBytes: 65536 }
          kind: { pointer: /message/parts/0/kind }
          role: { pointer: /message/role }
          messageId: { pointer: /message/messageId }
          taskId: {}
          contextId: {}
      methods:
        tasks/get: { action: sender.get, risk: low, otherArguments: deny, args: { taskId: { required: true } } }
`,
);
function agentOf(server: string): A2aAgent {
  const target = catalog.find(catalog.servers.get(server) as never, 'POST', ['a2a']);
  if (target?.kind !== 'a2a') throw new Error('not an agent');
  return target.a2a;
}
const agent = agentOf('booker');

const call = (message: object): HttpCall =>
  httpCall({
    method: 'POST',
    host: 'booker.acme.test',
    path: '/a2a',
    headers: headersOf({ 'content-type': 'application/json' }),
    body: Buffer.from(JSON.stringify(message)),
  });

function outcome(message: object, of = agent): unknown {
  const action = a2aActionFrom(call(message), of);
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
          'action.arguments: arguments of `booker.named`: `url` cannot be distinguished from a member that is spelt differently',
        ] as [string, object, string],
    ),
    ['a missing argument', request('must', {}), 'action.arguments: arguments of `booker.must`: `taskId` is missing'],
  ])('%s', (_name, given, expected) => {
    expect(outcome(given)).toBe(expected);
  });
});

const other = (name: string) =>
  `action.arguments: arguments of \`sender.ask\`: the catalog does not name \`${name}\`, and the action takes no other arguments`;

describe('a2aActionFrom with `send`', () => {
  const sender = agentOf('sender');
  const says = (method: string, message: object, more: object = {}) =>
    outcome(request(method, { message, ...more }), sender);
  const hello = { role: 'user', messageId: 'm', parts: [{ kind: 'text', text: 'hello' }] };
  it.each(['message/send', 'message/stream', 'SendMessage', 'SendStreamingMessage'])(
    'takes `%s` for the single action, with the text of its first part',
    (method) => {
      const args = { role: 'user', messageId: 'm', kind: 'text', text: 'hello' };
      expect(says(method, hello)).toEqual(['sender.ask', args]);
      expect(says(method, { ...hello, taskId: 't', contextId: 'c' })).toEqual([
        'sender.ask',
        { ...args, taskId: 't', contextId: 'c' },
      ]);
    },
  );

  it.each<[string, object, object, string]>([
    ['a second part', { ...hello, parts: [...hello.parts, { text: 'more' }] }, {}, other('/message/parts/1')],
    ['a file beside the text', { ...hello, parts: [{ text: 'x', file: {} }] }, {}, other('/message/parts/0/file')],
    ['metadata', hello, { metadata: {} }, other('/metadata')],
    ['a task id in another place', hello, { taskId: 't' }, other('/taskId')],
    ['no part', { ...hello, parts: [] }, {}, 'action.arguments: arguments of `sender.ask`: `text` is missing'],
    [
      'a part that is an object of the same shape',
      { ...hello, parts: { 0: { text: 5 } } },
      {},
      'action.arguments: arguments of `sender.ask`: `text` must be a string',
    ],
  ])('denies %s', (_name, message, more, expected) => {
    expect(says('message/send', message, more)).toBe(expected);
  });

  it('reads ids if their method has them, and no other', () => {
    expect(outcome(request('tasks/get', { id: 't' }), sender)).toEqual(['sender.get', { taskId: 't' }]);
    expect(outcome(request('tasks/get', { id: 't', taskId: 't' }), sender)).toContain('does not name `/taskId`');
    expect(outcome(request('tasks/get', { id: 't', historyLength: 3 }), sender)).toContain('`/historyLength`');
  });
});
