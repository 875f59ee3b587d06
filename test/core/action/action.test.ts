import { describe, expect, it } from '@jest/globals';
import { actionFrom } from '../../../src/core/action/action.ts';
import type { HttpCall } from '../../../src/core/action/http/call.ts';
import { isDeny } from '../../../src/core/decision/decision.ts';
import { mustCatalog } from '../../builders/catalog.ts';
import { httpCall, headersOf } from '../../builders/http-call.ts';

const catalog = mustCatalog(
  `servers:
  shop:
    hosts: [shop.acme.test]
    audience: https://shop.acme.test
    labels: [orders]
    routes:
      - { action: shop.list, method: GET, path: /orders, risk: low }
      - action: shop.order
        method: POST
        path: /orders/{shop}
        risk: high
        args:
          total: { from: body, type: decimal, pointer: /order/total, required: true }
          note: { from: query }
      - { action: shop.upload, method: PUT, path: /files, risk: low }
    grpc:
      services:
        acme.shop.v1.Shop: { methods: { Watch: { action: shop.watch, risk: low } } }
`,
);

type Headers = Readonly<Record<string, readonly string[]>>;
const call = (method: string, path: string, headers: Headers = {}, body: string | null = null): HttpCall =>
  httpCall({
    method,
    host: 'shop.acme.test',
    path,
    headers: headersOf(headers),
    body: body === null ? null : Buffer.from(body),
  });
const json: Headers = { 'content-type': ['application/json'] };
const order = (headers: Headers, body: string | null) => call('POST', '/orders/eu', headers, body);
const whole = '{"order":{"total":12.5}}';
const grpc = (type: string) => call('POST', '/acme.shop.v1.Shop/Watch', { 'content-type': [type] });

const outcome = (given: HttpCall): unknown => {
  const action = actionFrom(given, catalog);
  if (isDeny(action)) return `${action.reason}: ${action.detail}`;
  const { id, kind, isDecidedOnHeaders, labels, args, jsonRpcId } = action;
  expect([labels, jsonRpcId]).toEqual([new Set(['orders']), null]);
  return [id, kind, isDecidedOnHeaders, Object.fromEntries(args)];
};

describe('actionFrom', () => {
  const args = { shop: 'eu', total: { decimal: '12.5' } };
  const refused = 'action.arguments: arguments of `shop.order`: ';
  const bodiless = 'request.unsupported: a `GET` with a body is not supported';
  it.each<[string, HttpCall, unknown]>([
    ['reads arguments from a body', order(json, whole), ['shop.order', 'http', false, args]],
    [
      'takes UTF-8 by name',
      order({ 'content-type': ['application/json; charset=UTF-8'] }, whole),
      ['shop.order', 'http', false, args],
    ],
    [
      'takes the identity encoding',
      order({ ...json, 'content-encoding': ['identity'] }, whole),
      ['shop.order', 'http', false, args],
    ],
    ['refuses no content type', order({}, whole), `${refused}the content type is not \`application/json\``],
    [
      'refuses a form',
      order({ 'content-type': ['application/x-www-form-urlencoded'] }, whole),
      `${refused}the content type is not \`application/json\``,
    ],
    [
      'refuses JSON of another kind',
      order({ 'content-type': ['application/problem+json'] }, whole),
      `${refused}the content type is not \`application/json\``,
    ],
    [
      'refuses another charset',
      order({ 'content-type': ['application/json; charset=utf-16'] }, whole),
      `${refused}the content type is not \`application/json\``,
    ],
    [
      'refuses two content types',
      order({ 'content-type': ['application/json', 'text/plain'] }, whole),
      `${refused}the content type is not \`application/json\``,
    ],
    [
      'refuses a compressed body',
      order({ ...json, 'content-encoding': ['gzip'] }, whole),
      `${refused}the body is encoded`,
    ],
    ['refuses a body it was not sent', order(json, null), `${refused}the body was not sent to the check`],
    ['refuses an empty body', order(json, ''), `${refused}the body is not valid JSON`],
    ['refuses a list', order(json, '[]'), `${refused}the body must be a JSON object`],
    ['refuses a body without the argument', order(json, '{}'), `${refused}\`total\` is missing`],
    [
      'refuses a duplicate anywhere',
      order(json, '{"order":{"total":1},"x":{"y":1,"y":2}}'),
      `${refused}the body has a duplicate member name`,
    ],
    [
      'leaves a body alone that no argument is in',
      call('PUT', '/files', { 'content-encoding': ['gzip'] }, '\u0000'),
      ['shop.upload', 'http', true, {}],
    ],
    ['takes a GET of length 0', call('GET', '/orders', { 'content-length': ['0'] }), ['shop.list', 'http', true, {}]],
    ['refuses a GET with a body', call('GET', '/orders', {}, 'x'), bodiless],
    ['refuses a GET that says it has a body', call('GET', '/orders', { 'content-length': ['5'] }), bodiless],
    ['refuses a GET in chunks', call('GET', '/orders', { 'transfer-encoding': ['chunked'] }), bodiless],
    [
      'refuses a HEAD with a body',
      call('HEAD', '/orders', {}, 'x'),
      'request.unsupported: a `HEAD` with a body is not supported',
    ],
    ['decides gRPC on its headers', grpc('application/grpc'), ['shop.watch', 'grpc', true, {}]],
    ['takes protobuf by name', grpc('application/grpc+proto'), ['shop.watch', 'grpc', true, {}]],
    [
      'refuses gRPC of another kind',
      grpc('application/grpc+json'),
      'request.unsupported: the content type of a gRPC call is not `application/grpc`',
    ],
    [
      'refuses gRPC-Web',
      grpc('application/grpc-web'),
      'request.unsupported: the content type of a gRPC call is not `application/grpc`',
    ],
    [
      'refuses JSON to a gRPC method',
      grpc('application/json'),
      'request.unsupported: the content type of a gRPC call is not `application/grpc`',
    ],
    [
      'refuses a query of gRPC',
      { ...grpc('application/grpc'), query: 'a' },
      'request.unsupported: a gRPC call must not have a query',
    ],
    [
      'knows no other method of the service',
      call('POST', '/acme.shop.v1.Shop/watch', {}),
      'action.unknown: no route of the server `shop` matches `POST /acme.shop.v1.Shop/watch`',
    ],
  ])('%s', (_name, given, expected) => {
    expect(outcome(given)).toEqual(expected);
  });
});
