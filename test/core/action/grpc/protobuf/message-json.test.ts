import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { loadFileDescriptorSetFromBuffer } from '@grpc/proto-loader';
import type { MessageTypeDefinition } from '@grpc/proto-loader';
import { descriptorSetFrom } from '../../../../../src/core/action/grpc/protobuf/descriptor-set.ts';
import { messageFromJson } from '../../../../../src/core/action/grpc/protobuf/message-json.ts';
import { describeWith, grpcurlPart } from '../../../../parts.ts';
import { encoded, shopSet } from './shop.ts';
import { must } from '../../../../builders/must.ts';

/** The descriptor set of `everything.proto` with its imports, written by `grpcurl -protoset-out`. */
const EVERYTHING = join(import.meta.dirname, 'everything.binpb');
const everything = readFileSync(EVERYTHING);
const ROOT = 'acme.everything.v1.Thing';

function bytesOf(
  json: unknown,
  { set: bytes = everything, name = ROOT }: { readonly set?: Uint8Array; readonly name?: string } = {},
): Uint8Array | string {
  const set = must(descriptorSetFrom(bytes));
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
    ['no object', [], `message ${ROOT}: Array(0)`],
    ['an unknown member', { txt: 'a' }, `message ${ROOT}: key "txt" is unknown`],
    [
      'a field under both names',
      { signed_number: 1, signedNumber: 1 },
      `field ${ROOT}.signed_number: set multiple times`,
    ],
    ['two of a oneof', { left: 'a', right: {} }, `oneof ${ROOT}.choice: oneof set multiple times by left and right`],
    ['text for a number', { maybe: 'a' }, `field ${ROOT}.maybe: expected number (int32), got "a"`],
    ['a fraction', { maybe: 1.5 }, `field ${ROOT}.maybe: expected number (int32), got 1.5`],
    [
      'too large a number',
      { maybe: 2147483648 },
      `field ${ROOT}.maybe: expected number (int32): 2147483648 out of range`,
    ],
    ['a number below 0', { big: -1 }, `field ${ROOT}.big: expected bigint (uint64): -1 out of range`],
    ['a number for text', { text: 1 }, `field ${ROOT}.text: expected string, got 1`],
    ['an unknown name of an enum', { colour: 'RED' }, 'enum acme.everything.v1.Colour: "RED"'],
    ['no list', { words: 'a' }, `field ${ROOT}.words: expected Array, got "a"`],
    ['null in a list', { words: [null] }, `field ${ROOT}.words: list item must not be null`],
    ['a map that is a list', { things: [] }, `field ${ROOT}.things: expected object, got Array(0)`],
    [
      'a key of a map',
      { things: { a: {} } },
      `field ${ROOT}.things: invalid map key: expected bigint (int64): a out of range`,
    ],
    ['no base64', { raw: '%' }, `field ${ROOT}.raw: invalid base64 string`],
    ['a lone surrogate', { text: '\ud800' }, `field ${ROOT}.text: expected string: invalid UTF8`],
    ['no instant', { at: 'today' }, 'message google.protobuf.Timestamp: invalid RFC 3339 string'],
    [
      'Any of a type that the set does not have',
      { some: { '@type': 'x/acme.Other' } },
      'message google.protobuf.Any: x/acme.Other is not in the type registry',
    ],
    ['what is wrong inside', { inner: { inner: { flag: 1 } } }, `field ${ROOT}.flag: expected boolean, got 1`],
  ])('refuses %s', (_name, json, problem) => {
    expect(bytesOf(json)).toBe(`does not fit: ${problem}`);
  });

  it('refuses an integer that a double cannot hold exactly, and accepts it as a string', () => {
    const text = String(2 ** 60);
    expect(bytesOf({ big: 2 ** 60 })).toBe(`has the number \`${text}\`, which is beyond ±(2^53 - 1): write it as text`);
    expect(decoded(Buffer.from(bytesOf({ big: `${2n ** 60n}` })))).toEqual({ big: '1152921504606846976' });
  });

  it('accepts Any with a type of the set', () => {
    const url = `type.googleapis.com/${ROOT}`;
    const bytes = bytesOf({ some: { '@type': url, text: 'a' } });
    const value = Buffer.from(bytesOf({ text: 'a' })).toString('base64');
    expect(typeof bytes === 'string' ? bytes : decoded(bytes)).toEqual({ some: { type_url: url, value } });
  });

  it('accepts a field mask, which grpcurl does not', () => {
    const bytes = bytesOf({ mask: 'text,inner.signedNumber' });
    expect(typeof bytes === 'string' ? bytes : decoded(bytes)).toEqual({
      mask: { paths: ['text', 'inner.signed_number'] },
    });
  });

  it('refuses nesting beyond 100, and a type that the set lacks', () => {
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

  it.each(samples)('encodes like grpcurl: %s', async (_name, json) => {
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
