import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { actionFrom } from '../../../src/core/action/action.ts';
import type { HttpCall } from '../../../src/core/action/http/call.ts';
import { catalogFrom } from '../../../src/core/action/catalog/catalog-assembly.ts';
import { descriptorSetsIn } from '../../../src/core/action/catalog/catalog-descriptor-sets.ts';
import { isDeny } from '../../../src/core/decision/decision.ts';
import { decodedCheckRequestFrom } from '../../../src/sidecar/envoy/check/check-request.ts';
import { checkFactsFrom } from '../../../src/sidecar/envoy/check/request.ts';
import { must } from '../../builders/must.ts';
import { envoyCheckRequestType } from '../../sidecar/envoy/protos.ts';
import { encoded, framed, shopSet } from './grpc/protobuf/shop.ts';

const catalog = must(
  catalogFrom(
    `servers:
  web:
    hosts: [web.test]
    audience: https://web.test
    routes:
      - { action: web.write, method: POST, path: /v1/json, risk: low, body: json, args: { a: { from: body }, c: { from: body, pointer: /deep/c } } }
      - { action: web.closed, method: POST, path: /v1/closed, risk: low, body: json, otherArguments: deny, args: { a: { from: body } } }
      - { action: web.opaque, method: POST, path: /v1/opaque, risk: low, body: opaque }
      - { action: web.unstated, method: POST, path: /v1/unstated, risk: low }
      - { action: web.read, method: GET, path: /v1/read, risk: low }
  shop:
    hosts: [shop.test]
    audience: https://shop.test
    grpc:
      descriptorSet: shop.binpb
      services:
        acme.shop.v1.Shop:
          methods:
            PlaceOrder: { action: shop.order, risk: high, otherArguments: deny, args: { customer: {} } }
            Watch: { action: shop.watch, risk: low, args: { amount: { field: order.amount_cents, type: long } } }
            Upload: { action: shop.upload, risk: low }
  peer:
    hosts: [peer.test]
    audience: https://peer.test
    a2a:
      path: /a2a
      send: { action: peer.send, risk: low, args: { text: { pointer: /message/parts/0/text } } }
      methods:
        GetTask: { action: peer.get, risk: low, otherArguments: deny, args: { taskId: {} } }
        CreateTaskPushNotificationConfig: { action: peer.push, risk: low }
        tasks/pushNotificationConfig/set: { action: peer.named, risk: low, args: { push: { pointer: /pushNotificationConfig/url } } }
`,
    'actions.yaml',
    await descriptorSetsIn(new Map([['shop.binpb', shopSet]])),
  ),
);

interface Sent {
  readonly host?: string;
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** What becomes of a request, from the message of Envoy on: the action with what it carries, or the reason of the denial. */
function outcome({ host = 'web.test', method = 'POST', path, headers = {}, body = '' }: Sent): unknown {
  const raw = Buffer.from(body);
  const length = raw.length === 0 ? {} : { 'content-length': String(raw.length), 'x-envoy-auth-partial-body': 'false' };
  const all = { 'content-type': 'application/json', ...length, ...headers };
  const lines = Object.entries(all).map(([key, value]) => ({ key, raw_value: Buffer.from(value) }));
  const http = { method, path, host, scheme: 'https', header_map: { headers: lines }, raw_body: raw };
  const bytes = envoyCheckRequestType.serialize({ attributes: { request: { http } } });
  const facts = checkFactsFrom(must(decodedCheckRequestFrom(bytes)), null);
  if (isDeny(facts)) return facts.reason;
  const call: HttpCall = facts.call;
  const action = actionFrom(call, catalog);
  if (isDeny(action)) return action.reason;
  const { carried, otherHeaders, id } = action;
  const others = otherHeaders?.names.map((name) => `header ${name}`) ?? [];
  const names = [...(carried?.names ?? []), ...others];
  return names.length === 0 ? id : { [id]: names };
}

const json = (path: string, value: unknown, headers = {}): unknown =>
  outcome({ path, headers, body: JSON.stringify(value) });
const a2a = (method: string, params: object, { headers = {}, query = '' } = {}): unknown =>
  outcome({
    host: 'peer.test',
    path: `/a2a${query}`,
    headers,
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  });
const message = { role: 'ROLE_USER', messageId: 'm', parts: [{ text: 'x' }] };
const grpc = (method: string, body: Uint8Array, headers = {}): unknown =>
  outcome({
    host: 'shop.test',
    path: `/acme.shop.v1.Shop/${method}`,
    headers: { 'content-type': 'application/grpc', te: 'trailers', ...headers },
    body,
  });
const order = framed(encoded({ customer: 'c' }));
const MULTIPART =
  '--b\r\nContent-Disposition: form-data; name="a"; filename="x.txt"\r\n\r\n1\r\n--b\r\ncontent-disposition: form-data; name=b\r\n\r\n2\r\n--b--';

/** What each row of the table says: refused, or passed with what is recorded. Issue 37, point 2. */
const rows: Readonly<Record<string, () => unknown>> = {
  'HTTP 1': () => [
    json('/v1/json', { a: 'x' }, { trailer: 'x-amount' }),
    json('/v1/json', { a: 'x' }, { te: 'trailers' }),
  ],
  'HTTP 2': () => [
    json('/v1/json', { a: 'x' }, { 'x-user-id': 'admin' }),
    json('/v1/json', { a: 'x' }, { connection: 'x-user-id' }),
    json('/v1/json', { a: 'x' }, { x_user_id: 'admin' }),
  ],
  'HTTP 3': () => [
    ...['x-http-method', 'x-http-method-override', 'x-method-override'].map((name) =>
      json('/v1/json', { a: 'x' }, { [name]: 'DELETE' }),
    ),
    ...['x-original-url', 'x-rewrite-url'].map((name) => json('/v1/json', { a: 'x' }, { [name]: '/v1/closed' })),
    json('/v1/json?_method=DELETE', { a: 'x' }),
    outcome({
      path: '/v1/unstated',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: '_method=DELETE',
    }),
  ],
  'HTTP 4': () => [
    json('/v1/json?b=1', { a: 'x' }),
    json('/v1/closed?b=1', { a: 'x' }),
    json('/v1/json', { a: 'x', b: 1 }),
    json('/v1/closed', { a: 'x', b: 1 }),
    json('/v1/json', { a: 'x', deep: { c: 'y', other: 1 } }),
  ],
  'HTTP 5': () => [
    ...['/v1/json', '/v1/unstated', '/v1/opaque'].map((path) =>
      outcome({ path, headers: { 'content-type': 'multipart/form-data; boundary=b' }, body: MULTIPART }),
    ),
    outcome({
      path: '/v1/opaque',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: 'a=1&b%5B%5D=2&b%5B%5D=3',
    }),
    json('/v1/opaque', { a: 1 }),
    json('/v1/unstated', { a: 1 }),
  ],
  'HTTP 6': () => [
    json('/v1/json', { a: 'x' }, { 'content-encoding': 'gzip' }),
    json('/v1/opaque', { a: 'x' }, { 'content-encoding': 'gzip' }),
  ],
  'HTTP 7': () => [
    json('/v1/json', { a: 'x' }, { expect: '100-continue' }),
    json('/v1/json', { a: 'x' }, { expect: '200-ok' }),
  ],
  'HTTP 8': () => [
    json('/v1/json', { a: 'x' }, { 'x-envoy-auth-partial-body': 'true' }),
    json('/v1/opaque', { a: 'x' }, { 'x-envoy-auth-partial-body': 'true' }),
    json('/v1/json', { a: 'x' }, { 'content-length': '100' }),
  ],
  'HTTP 9': () => [
    outcome({ method: 'GET', path: '/v1/read', headers: { upgrade: 'websocket', connection: 'upgrade' } }),
    outcome({ method: 'CONNECT', path: '/v1/read' }),
  ],
  'gRPC 1': () => [grpc('PlaceOrder', order, { 'x-amount-bin': 'AAAA', 'grpc-timeout': '1S' })],
  'gRPC 2': () => [
    grpc('PlaceOrder', framed(encoded({ customer: 'c', order: { amount_cents: 1 } }))),
    grpc('PlaceOrder', framed(Buffer.concat([encoded({ customer: 'c' }), Buffer.of(0xf8, 0x7f, 1)]))),
    grpc(
      'Watch',
      framed(Buffer.concat([encoded({ customer: 'c', order: { first: { sku: 's' } } }), Buffer.of(0xf8, 0x7f, 1)])),
    ),
  ],
  'gRPC 3': () =>
    ['PlaceOrder', 'Upload'].map((method) =>
      grpc(method, Buffer.concat([Buffer.of(1), order.subarray(1)]), { 'grpc-encoding': 'gzip' }),
    ),
  'gRPC 4': () => [
    grpc('PlaceOrder', Buffer.concat([order, order])),
    grpc('PlaceOrder', order.subarray(0, 7)),
    grpc('Upload', Buffer.concat([order, order])),
  ],
  'gRPC 5': () => [
    ...['application/grpc-web-text', 'application/grpc-web', 'application/connect+proto', 'application/grpc+json'].map(
      (type) => grpc('PlaceOrder', order, { 'content-type': type }),
    ),
    outcome({ host: 'shop.test', method: 'GET', path: '/acme.shop.v1.Shop/PlaceOrder?message=%7B%7D' }),
  ],
  'A2A 1': () => [
    a2a('SendMessage', { message: { ...message, metadata: { a: 1 }, extensions: ['u'] }, metadata: { b: 1 } }),
    a2a('GetTask', { id: 't', metadata: { b: 1 } }),
  ],
  'A2A 2': () => [
    a2a('SendMessage', { message }, { headers: { 'a2a-extensions': 'https://x.test' } }),
    a2a('GetTask', { id: 't' }, { headers: { 'a2a-extensions': 'https://x.test' } }),
  ],
  'A2A 3': () => [a2a('GetTask', { id: 't' }, { query: '?A2A-Version=1.0' })],
  'A2A 4': () => [
    a2a('SendMessage', { message, configuration: { taskPushNotificationConfig: { url: 'https://evil.test' } } }),
    a2a('message/send', { message, configuration: { pushNotificationConfig: { url: 'https://evil.test' } } }),
    a2a('CreateTaskPushNotificationConfig', { taskId: 't', url: 'https://evil.test' }),
    a2a('tasks/pushNotificationConfig/set', { taskId: 't', pushNotificationConfig: { url: 'https://a.test' } }),
  ],
  'A2A 5': () => [
    a2a('SendMessage', { message: { ...message, task_id: 't' } }),
    a2a('SendMessage', { message, configuration: { push_notification_config: { url: 'https://evil.test' } } }),
    a2a('SendMessage', { message, Configuration: {} }),
  ],
  'A2A 6': () => [
    a2a('SendMessage', { message: { ...message, parts: [{ text: 'x' }, { url: 'http://169.254.169.254/' }] } }),
  ],
};

const expected: Readonly<Record<string, unknown>> = {
  'HTTP 1': ['request.unsupported', 'web.write'],
  'HTTP 2': [{ 'web.write': ['header x-user-id'] }, 'request.not-canonical', 'request.not-canonical'],
  'HTTP 3': [...Array.from({ length: 6 }, () => 'request.not-canonical'), 'action.arguments'],
  'HTTP 4': [
    { 'web.write': ['query/b'] },
    'action.arguments',
    { 'web.write': ['body/b'] },
    'action.arguments',
    { 'web.write': ['body/deep'] },
  ],
  'HTTP 5': [
    'action.arguments',
    'action.arguments',
    { 'web.opaque': ['body', 'body/form-data; name="a"; filename="x.txt"', 'body/form-data; name=b'] },
    { 'web.opaque': ['body/a', 'body/b[]'] },
    { 'web.opaque': ['body'] },
    { 'web.unstated': ['body'] },
  ],
  'HTTP 6': ['request.unsupported', 'request.unsupported'],
  'HTTP 7': ['web.write', 'request.unsupported'],
  'HTTP 8': Array.from({ length: 3 }, () => 'request.body-incomplete'),
  'HTTP 9': ['request.unsupported', 'request.unsupported'],
  'gRPC 1': [{ 'shop.order': ['header x-amount-bin'] }],
  'gRPC 2': [
    'action.arguments',
    'action.arguments',
    { 'shop.watch': ['message/customer', 'message/order/first', 'message/2047'] },
  ],
  'gRPC 3': ['request.unsupported', { 'shop.upload': ['body'] }],
  'gRPC 4': ['request.malformed', 'request.body-incomplete', { 'shop.upload': ['body'] }],
  'gRPC 5': [...Array.from({ length: 4 }, () => 'request.unsupported'), 'action.unknown'],
  'A2A 1': [{ 'peer.send': ['metadata', 'message/metadata', 'message/extensions'] }, 'action.arguments'],
  'A2A 2': [{ 'peer.send': ['a2a-extensions'] }, 'action.arguments'],
  'A2A 3': ['request.unsupported'],
  'A2A 4': [...Array.from({ length: 3 }, () => 'action.arguments'), { 'peer.named': ['taskId'] }],
  'A2A 5': ['request.not-canonical', 'request.not-canonical', 'request.not-canonical'],
  'A2A 6': [{ 'peer.send': ['message/parts'] }],
};

describe('what reaches the upstream that policies cannot see', () => {
  it.each(Object.keys(rows))('is as the threat model says: %s', (row) => {
    expect(rows[row]?.()).toEqual(expected[row]);
  });

  it('has a test for each row of the table, and a row for each test', () => {
    const page = readFileSync('deploy/guide/security/threat-model.md', 'utf8');
    const found = [...page.matchAll(/^\| ((?:HTTP|gRPC|A2A) \d{1,2}): /gm)].map(([, row]) => row);
    expect(found).toEqual(Object.keys(rows));
  });
});
