import { describe, expect, it } from '@jest/globals';
import { actionFrom } from '../../../../src/core/action/action.ts';
import type { HttpCall } from '../../../../src/core/action/http/call.ts';
import { catalogFrom } from '../../../../src/core/action/catalog/catalog-assembly.ts';
import { descriptorSetsIn } from '../../../../src/core/action/catalog/catalog-descriptor-sets.ts';
import { isDeny } from '../../../../src/core/decision/decision.ts';
import { encoded, framed, shopSet } from './protobuf/shop.ts';
import { must } from '../../../builders/must.ts';
import { httpCall, headersOf } from '../../../builders/http-call.ts';

const catalog = must(
  catalogFrom(
    `servers:
  shop:
    hosts: [shop.acme.test]
    audience: https://shop.acme.test
    grpc:
      descriptorSet: shop.binpb
      services:
        acme.shop.v1.Shop:
          methods:
            PlaceOrder:
              action: shop.order
              risk: high
              args: { customer: {}, amount: { field: order.amount_cents, type: long, required: true } }
            Upload: { action: shop.upload, risk: low }
  closed:
    hosts: [closed.acme.test]
    audience: https://closed.acme.test
    grpc:
      descriptorSet: shop.binpb
      services:
        acme.shop.v1.Shop:
          methods:
            PlaceOrder:
              action: closed.order
              risk: high
              otherArguments: deny
              args: { customer: { maxBytes: 3 }, amount: { field: order.amount_cents, type: long, required: true } }
`,
    'actions.yaml',
    await descriptorSetsIn(new Map([['shop.binpb', shopSet]])),
  ),
);

const call = (body: Uint8Array | null, method = 'PlaceOrder'): HttpCall =>
  httpCall({
    method: 'POST',
    host: 'shop.acme.test',
    path: `/acme.shop.v1.Shop/${method}`,
    headers: headersOf({ 'content-type': 'application/grpc' }),
    body,
  });

const outcome = (given: HttpCall): unknown => {
  const action = actionFrom(given, catalog);
  return isDeny(action)
    ? `${action.reason}: ${action.detail}`
    : [action.id, action.isDecidedOnHeaders, Object.fromEntries(action.args)];
};

const order = encoded({ customer: 'ada', order: { amount_cents: '1250' } });
const closed = (message: object): unknown => {
  const action = actionFrom({ ...call(framed(encoded(message))), host: 'closed.acme.test' }, catalog);
  return isDeny(action) ? [`${action.reason}: ${action.detail}`, action.clientFacts] : Object.fromEntries(action.args);
};

const other = (name: string) => [
  `action.arguments: the message of \`closed.order\` has the field \`${name}\`, which the catalog does not name, and takes no other arguments`,
  { argument: { name, expected: 'left out: the action has no such argument' } },
];

describe('grpcActionFrom with `otherArguments: deny`', () => {
  it('takes the named fields, and refuses every other field, unknown fields too', () => {
    const sent = { customer: 'ada', order: { amount_cents: '1250' } };
    expect(closed(sent)).toEqual({ customer: 'ada', amount: 1250 });
    expect(closed({ ...sent, tags: ['x'] })).toEqual(other('tags'));
    const unknown = Buffer.concat([encoded(sent), Buffer.of(0xa2, 0x06, 1, 120)]);
    const action = actionFrom({ ...call(framed(unknown)), host: 'closed.acme.test' }, catalog);
    expect(isDeny(action) && [action.detail.includes('the field `100`'), action.clientFacts?.argument?.name]).toEqual([
      true,
      '100',
    ]);
  });

  it('names the argument that is too long to a verified caller', () => {
    expect(closed({ customer: 'adam', order: { amount_cents: '1250' } })).toEqual([
      'action.arguments: the message of `closed.order` has the argument `customer`, which must be a string of at most 3 bytes',
      { argument: { name: 'customer', expected: 'a string of at most 3 bytes' } },
    ]);
  });
});

const prefix = (...bytes: readonly number[]): Uint8Array => Uint8Array.from(bytes);

describe('grpcActionFrom with a descriptor set', () => {
  it.each([
    ['takes arguments from the message', framed(order), ['shop.order', false, { customer: 'ada', amount: 1250 }]],
    ['refuses no body', null, 'request.body-incomplete: the gRPC message was not sent to the check as bytes'],
    ['refuses an empty body', prefix(), 'request.body-incomplete: the prefix of the gRPC message is incomplete'],
    [
      'refuses a cut prefix',
      prefix(0, 0, 0, 0),
      'request.body-incomplete: the prefix of the gRPC message is incomplete',
    ],
    ['refuses a compressed message', framed(order, 1), 'request.unsupported: the gRPC message is compressed'],
    ['refuses another flag', framed(order, 128), 'request.malformed: the gRPC message has an unknown flag'],
    [
      'refuses a cut message',
      framed(order).subarray(0, -1),
      'request.body-incomplete: the gRPC message is shorter than its prefix says',
    ],
    [
      'refuses a second message',
      Buffer.concat([framed(order), framed(order)]),
      'request.malformed: data follows the only gRPC message of the call',
    ],
    [
      'refuses a byte too many',
      Buffer.concat([framed(order), prefix(0)]),
      'request.malformed: data follows the only gRPC message of the call',
    ],
    [
      'refuses a length over 1 MiB before there are as many bytes',
      prefix(0, 0, 16, 0, 1),
      'request.too-large: the gRPC message is longer than 1048576 bytes',
    ],
    [
      'refuses a message without a required argument',
      framed(encoded({ customer: 'ada' })),
      'action.arguments: arguments of `shop.order`: `amount` is missing',
    ],
    [
      'refuses no message',
      framed(new Uint8Array(0)),
      'action.arguments: arguments of `shop.order`: `amount` is missing',
    ],
    [
      'refuses a field twice',
      framed(Buffer.concat([order, encoded({ customer: 'eve' })])),
      'action.arguments: the message of `shop.order` has the field `customer` twice',
    ],
    [
      'refuses what is no message',
      framed(prefix(0xff)),
      'request.malformed: the message of `shop.order` has a number that is not written as protobuf writes it',
    ],
  ])('%s', (_name, body, expected) => {
    expect(outcome(call(body))).toEqual(expected);
  });

  it.each([
    ['without a body', null],
    ['with whatever body', framed(order, 1)],
  ])('decides a stream on its headers, %s', (_name, body) => {
    expect(outcome(call(body, 'Upload'))).toEqual(['shop.upload', true, {}]);
  });
});
