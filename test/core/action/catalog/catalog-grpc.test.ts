import { describe, expect, it } from '@jest/globals';
import { catalogFrom } from '../../../../src/core/action/catalog/catalog-assembly.ts';
import { descriptorSetNames } from '../../../../src/core/action/catalog/catalog-descriptor-sets.ts';
import { descriptorSetsIn } from '../../../../src/core/action/catalog/catalog-descriptor-sets.ts';
import { loadedSet, shopSet } from '../grpc/protobuf/shop.ts';
import { must } from '../../../builders/must.ts';

const text = `servers:
  shop:
    hosts: [shop.acme.test]
    audience: https://shop.acme.test
    grpc:
      descriptorSet: protos/shop.binpb
      services:
        acme.shop.v1.Shop:
          methods:
            PlaceOrder:
              action: shop.order
              risk: high
              args:
                customer: { required: true }
                amount: { field: order.amount_cents, type: long }
                tags: { type: strings }
                priority: {}
                discount: { type: decimal }
                card.limit: { type: long }
            Watch: { action: shop.watch, risk: low }
            Upload: { action: shop.upload, risk: low }
        acme.legacy.Legacy:
          methods:
            Pay: { action: shop.pay, risk: low, args: {} }
`;
const files = new Map<string, Uint8Array | { readonly problem: string }>([
  ['protos/shop.binpb', shopSet],
  ['loaded.binpb', loadedSet],
  ['text.binpb', Buffer.from('syntax = "proto3";')],
  ['none.binpb', { problem: 'could not be read: ENOENT' }],
  // The message has another name, as if its file were missing.
  [
    'cut.binpb',
    Buffer.from(Buffer.from(shopSet).toString('latin1').replace('\n\x04Card\x12', '\n\x04Cord\x12'), 'latin1'),
  ],
]);

const sets = await descriptorSetsIn(files);

const found = (catalogText: string): readonly string[] => {
  const catalog = catalogFrom(catalogText, 'actions.yaml', sets);
  return 'findings' in catalog
    ? catalog.findings.map(({ file, line, column, message }) => `${file}:${line}:${column}: ${message}`)
    : [];
};

describe('catalogFrom reads gRPC methods with a descriptor set', () => {
  const catalog = must(catalogFrom(text, 'actions.yaml', sets));

  it('with arguments from fields', () => {
    const action = catalog.actions.get('shop.order');
    expect(action?.args).toEqual([
      { name: 'customer', from: 'message', path: ['customer'], type: 'string', required: true },
      { name: 'amount', from: 'message', path: ['order', 'amount_cents'], type: 'long', required: false },
      { name: 'tags', from: 'message', path: ['tags'], type: 'strings', required: false },
      { name: 'priority', from: 'message', path: ['priority'], type: 'string', required: false },
      { name: 'discount', from: 'message', path: ['discount'], type: 'decimal', required: false },
      { name: 'card.limit', from: 'message', path: ['card', 'limit'], type: 'long', required: false },
    ]);
    expect(action?.message).not.toBeNull();
  });

  it('and methods without arguments, which are decided on headers', () => {
    for (const id of ['shop.watch', 'shop.upload', 'shop.pay']) {
      expect(catalog.actions.get(id)).toMatchObject({ args: [], message: null });
    }
  });
});

describe('catalogFrom finds in a descriptor set', () => {
  const amount = 'field: order.amount_cents, type: long';
  const rows: readonly (readonly [string, string, string, string])[] = [
    [
      'a file that is not there',
      'protos/shop',
      'none',
      '6:22: the descriptor set `none.binpb` could not be read: ENOENT',
    ],
    ['a file that was not read', 'protos/shop', 'other', '6:22: the descriptor set `other.binpb` was not read'],
    [
      'a file that is none',
      'protos/shop',
      'text',
      '6:22: the descriptor set `text.binpb` is not a descriptor set: it ',
    ],
    [
      'a file elsewhere',
      'protos/',
      '../',
      '6:22: the descriptor set `../shop.binpb` must be a file of the policy folder',
    ],
    ['an absolute path', 'protos/', '/etc/', '6:22: the descriptor set `/etc/shop.binpb` must be a file of'],
    [
      'a set without a service',
      'protos/shop',
      'loaded',
      '22:9: the descriptor set does not have the service `acme.legacy.Legacy`',
    ],
    [
      'a method the service does not have',
      'Watch:',
      'Look:',
      '20:13: the service `acme.shop.v1.Shop` of the descriptor set has no method `Look`',
    ],
    [
      'a set without a message below its own message',
      'protos/shop',
      'cut',
      '14:17: the descriptor set does not have the message `acme.shop.v1.Card`',
    ],
    [
      'a field the message does not have',
      'order.amount_cents',
      'order.amount',
      '15:34: the message `acme.shop.v1.Order` has no field `amount`',
    ],
    [
      'an argument that is no field by its own name',
      'customer: {',
      'client: {',
      '14:17: the message `acme.shop.v1.PlaceOrderRequest` has no field `client`',
    ],
    ['a JSON name', 'order.amount_cents', 'order.amountCents', 'has no field `amountCents`'],
    [
      'a way through a scalar',
      'order.amount_cents',
      'customer.x',
      '`customer` is of type `string`: a path leads through messages',
    ],
    ['a way through a list', 'order.amount_cents', 'more.amount_cents', '`more` is repeated, and a path cannot lead'],
    ['a way through a map', 'order.amount_cents', 'notes.value', 'the field `notes` is a map, and a path cannot lead'],
    ['a map', amount, 'field: notes', '15:34: the field `notes` is a map, which has no order and no argument type'],
    ['bytes', amount, 'field: attachment', 'the field `attachment` is of type `bytes`, which no argument can be'],
    [
      'a float',
      amount,
      'field: weight, type: decimal',
      'the field `weight` is of type `float`, which no argument can be',
    ],
    ['a message', amount, 'field: order', 'the field `order` is of type `message`, which no argument can be'],
    [
      'repeated numbers',
      amount,
      'field: sizes, type: strings',
      '`sizes` is of type `repeated int32`, which no argument',
    ],
    [
      'a number as text',
      ', type: long }\n                tags',
      ' }\n                tags',
      'the field `order.amount_cents` is of type `int64`: the type of the argument must be `long`',
    ],
    [
      'text as a number',
      'customer: {',
      'customer: { type: long, ',
      'the field `customer` is of type `string`: the type of the argument must be `string` or `decimal`',
    ],
    [
      'an enum as a number',
      'priority: {',
      'priority: { type: long',
      '`priority` is of type `enum`: the type of the argument',
    ],
    [
      'a repeated string as a single string',
      ' type: strings ',
      ' ',
      '`tags` is of type `repeated string`: the type of the argument must',
    ],
    [
      'no way',
      'order.amount_cents',
      'order..x',
      '15:34: the field `order..x` must be 1 to 8 field names of the message',
    ],
    ['a long way', 'order.amount_cents', 'a.b.c.d.e.f.g.h.i', 'must be 1 to 8 field names of the message'],
    ['a name that is no way', 'priority:', "'pri ority':", '17:17: the field `pri ority` must be 1 to 8 field names'],
    ['a pointer', 'field: order.amount_cents', 'pointer: /order/amount_cents', 'unknown key `pointer` in an argument'],
    [
      'arguments of a stream',
      'shop.upload, risk: low',
      'shop.upload, risk: low, args: { customer: {} }',
      '21:61: a method that takes a stream has no arguments: it is decided on headers',
    ],
    [
      'a group of proto2',
      'args: {} }',
      'args: { details.text: {} } }',
      'the field `details` is of type `group`: a path leads through messages',
    ],
    ['arguments without a set', 'descriptorSet: protos/shop.binpb', '', 'need the `descriptorSet` of its messages'],
  ];
  it.each(rows)('%s', (_name, from, to, expected) => {
    const changed = text.replace(from, to);
    expect(changed).not.toBe(text);
    const lines = found(changed);
    expect(lines.some((line) => line.includes(expected)) ? expected : lines).toBe(expected);
  });

  it('an unreadable file, and no consequential errors', () => {
    expect(found(text.replace('protos/shop', 'none'))).toHaveLength(1);
  });

  it('an unknown field, and lists the known fields', () => {
    const catalog = catalogFrom(text.replace('order.amount_cents', 'order.x'), 'actions.yaml', sets);
    expect('findings' in catalog ? catalog.findings.map(({ help }) => help) : []).toEqual([
      'known: amount_cents, first, numbers, next',
    ]);
  });
});

describe('descriptorSetNames', () => {
  it.each([
    ['each name once', text + text.replace('servers:\n', '').replace('shop:', 'other:'), ['protos/shop.binpb']],
    ['nothing that no file may be called', text.replace('protos/', '../'), []],
    ['nothing of what is no catalog', '[1]', []],
    ['nothing of what is no YAML', 'servers: [', []],
    ['nothing of other shapes', 'servers: { a: 1, b: { grpc: [] }, c: { grpc: { descriptorSet: [x] } } }', []],
  ])('gives %s', (_name, given, names) => {
    expect(descriptorSetNames(given)).toEqual(names);
  });
});
