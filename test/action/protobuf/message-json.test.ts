import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { loadFileDescriptorSetFromBuffer } from '@grpc/proto-loader';
import type { MessageTypeDefinition } from '@grpc/proto-loader';
import { descriptorSetFrom } from '../../../src/action/protobuf/descriptor-set.ts';
import { messageFromJson } from '../../../src/action/protobuf/message-json.ts';
import { describeWith, grpcurlPart } from '../../parts.ts';
import { encoded, shopSet } from './shop.ts';

/** The descriptor set of the file beside this one, as `grpcurl -protoset-out` wrote it: with all of its imports. */
const EVERYTHING = join(import.meta.dirname, 'everything.binpb');
const everything = readFileSync(EVERYTHING);
const ROOT = 'acme.everything.v1.Thing';

function bytesOf(
  json: unknown,
  { set: bytes = everything, name = ROOT }: { readonly set?: Uint8Array; readonly name?: string } = {},
): Uint8Array | string {
  const set = descriptorSetFrom(bytes);
  if ('problem' in set) throw new Error(set.problem);
  const read = messageFromJson({ set, name }, json);
  return 'problem' in read ? read.problem : read;
}

const whole = (bytes: Buffer): Buffer => bytes;

const thing = loadFileDescriptorSetFromBuffer(everything, { longs: String, enums: String, bytes: String })[
  ROOT
] as MessageTypeDefinition<object, object>;
const decoded = (bytes: Uint8Array): unknown => JSON.parse(JSON.stringify(thing.deserialize(Buffer.from(bytes))));

const samples: readonly (readonly [string, object])[] = [
  ['nothing', {}],
  ['plain values', { text: 'ä', flag: true, raw: 'AAEC/w==', wide: 1.25, narrow: 0.5, colour: 'COLOUR_RED' }],
  ['defaults, which are not sent', { text: '', flag: false, raw: '', wide: 0, colour: 'COLOUR_NONE', maybe: 0 }],
  [
    'numbers at their ends',
    {
      signed_number: '-9223372036854775808',
      fixed_number: '18446744073709551615',
      small_fixed: -2147483648,
      big: '18446744073709551615',
      maybe: -1,
    },
  ],
  ['names of JSON', { signedNumber: 5, other: 'x', smallFixed: 1 }],
  ['lists', { numbers: [1, -2, 2147483647], words: ['a', '', 'b'] }],
  ['a negative enum', { colour: 'COLOUR_INFRARED' }],
  ['an enum by number', { colour: 1 }],
  ['a map', { things: { '7': { text: 'in' } } }],
  ['a map of enums', { colours: { a: 'COLOUR_RED' } }],
  ['a map of bools', { answers: { true: 'yes' } }],
  ['messages in each other', { inner: { inner: { text: 'deep' } }, right: { big: 1 } }],
  ['an empty message', { inner: {} }],
  ['null as absence', { text: null, inner: null, words: null }],
  ['an instant', { at: '2026-01-15T08:00:00.25+01:00' }],
  ['an instant before the epoch', { at: '1969-12-31T23:59:59Z' }],
  ['a duration', { lasts: '-1.5s' }],
  ['a wrapped text', { wrapped: 'w' }],
  ['any JSON', { anything: { a: [1, 'b', null, { c: true }] } }],
  ['a value that is null', { value: null }],
];

describe('messageFromJson', () => {
  it('writes the bytes that protobufjs writes', () => {
    const order = {
      customer: 'ada',
      order: { amount_cents: '1250', first: { sku: 's', count: 2 } },
      tags: ['a', 'b'],
      priority: 'PRIORITY_LOW',
      card: { number: '4', limit: 10 },
      coupon: '',
      discount: 0.1,
      reference: 'r',
    };
    const name = 'acme.shop.v1.PlaceOrderRequest';
    expect(Buffer.from(encoded(order))).toEqual(bytesOf(order, { set: shopSet, name }));
  });

  it.each([
    ['no object', [], 'must be a JSON object, as it is of `acme.everything.v1.Thing`'],
    ['an unknown member', { txt: 'a' }, /^has the member `txt`, which is none of its fields: text, flag, /],
    ['a field under both names', { signed_number: 1, signedNumber: 1 }, 'has the field `signed_number` twice'],
    ['two of a oneof', { left: 'a', right: {} }, 'has both `left` and `right` of one `oneof`'],
    ['text for a number', { maybe: 'a' }, 'has the field `maybe`, which must be an integer'],
    ['a fraction', { maybe: 1.5 }, 'has the field `maybe`, which must be an integer'],
    [
      'too large a number',
      { maybe: 2147483648 },
      'has the field `maybe`, which must be from -2147483648 to 2147483647',
    ],
    ['a number below 0', { big: -1 }, 'has the field `big`, which must be from 0 to 18446744073709551615'],
    ['an inexact number', { big: 2 ** 60 }, 'has the field `big`, which is beyond ±(2^53 - 1): write it as text'],
    ['a number for text', { text: 1 }, 'has the field `text`, which must be text'],
    [
      'an unknown name of an enum',
      { colour: 'RED' },
      'has the field `colour`, which must be one of COLOUR_NONE, COLOUR_RED, COLOUR_INFRARED',
    ],
    ['no list', { words: 'a' }, 'has the field `words`, which must be a list'],
    ['null in a list', { words: [null] }, 'has the field `words`, which has an item that must be text'],
    ['a map that is a list', { things: [] }, 'has the field `things`, which must be an object, as it is a map'],
    [
      'a key of a map',
      { things: { a: {} } },
      'has the field `things`, which has the entry `a`, which must be an integer',
    ],
    ['no base64', { raw: '%' }, 'has the field `raw`, which must be bytes, as base64'],
    ['no instant', { at: 'today' }, 'has the field `at`, which must be an instant such as `2026-01-15T08:00:00Z`'],
    [
      'Any',
      { some: { '@type': 'x' } },
      'has the field `some`, which is a `google.protobuf.Any`: give the message as base64',
    ],
    [
      'what is wrong inside',
      { inner: { inner: { flag: 1 } } },
      'has the field `inner`, which has the field `inner`, which has the field `flag`, which must be `true` or `false`',
    ],
  ])('refuses %s', (_name, json, problem) => {
    const read = bytesOf(json);
    if (typeof problem === 'string') expect(read).toBe(problem);
    else expect(read).toMatch(problem);
  });

  it('takes a mask of fields, which grpcurl does not', () => {
    const bytes = bytesOf({ mask: 'text,inner.signedNumber' });
    expect(typeof bytes === 'string' ? bytes : decoded(bytes)).toEqual({
      mask: { paths: ['text', 'inner.signed_number'] },
    });
  });

  it('refuses messages more than 100 deep, and a type that the set does not have', () => {
    let deep: object = {};
    for (let depth = 0; depth < 200; depth++) deep = { inner: deep };
    expect(bytesOf(deep)).toContain('nests deeper than 100');
    expect(bytesOf({}, { name: 'acme.Other' })).toBe('is of `acme.Other`, which the descriptor set does not have');
  });
});

describeWith(grpcurlPart(), 'messageFromJson beside grpcurl', (grpcurl) => {
  const sent: Uint8Array[] = [];
  const server = new Server();
  let port = 0;
  beforeAll(async () => {
    const path = '/acme.everything.v1.Everything/Take';
    const method = { path, requestStream: false, responseStream: false };
    const serialization = {
      requestSerialize: whole,
      requestDeserialize: whole,
      responseSerialize: whole,
      responseDeserialize: whole,
    };
    server.addService(
      { Take: { ...method, ...serialization } },
      {
        Take: (call: { readonly request: Buffer }, done: (error: null, answer: Buffer) => void) => {
          sent.push(call.request);
          done(null, Buffer.alloc(0));
        },
      },
    );
    port = await promisify(server.bindAsync.bind(server))('127.0.0.1:0', ServerCredentials.createInsecure());
  });
  afterAll(() => server.forceShutdown());

  it.each(samples)('sends what it sends: %s', async (_name, json) => {
    sent.length = 0;
    const args = ['-plaintext', '-protoset', EVERYTHING, '-d', JSON.stringify(json)];
    await promisify(execFile)(grpcurl, [...args, `127.0.0.1:${port}`, 'acme.everything.v1.Everything/Take']);
    const [bytes] = sent;
    const ours = bytesOf(json);
    if (bytes === undefined || typeof ours === 'string') throw new Error(String(ours));
    expect(decoded(ours)).toEqual(decoded(bytes));
    expect(ours.length).toBe(bytes.length);
  });
});
