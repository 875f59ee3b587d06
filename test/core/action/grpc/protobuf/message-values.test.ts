import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { ArgumentType } from '../../../../../src/core/action/arguments/argument.ts';
import type { MessageArgument } from '../../../../../src/core/action/catalog/catalog-arguments.ts';
import { descriptorSetFrom } from '../../../../../src/core/action/grpc/protobuf/descriptor-set.ts';
import { messageShapes, pathProblem } from '../../../../../src/core/action/grpc/protobuf/message-shape.ts';
import { MAX_FIELDS, messageValues } from '../../../../../src/core/action/grpc/protobuf/message-values.ts';
import { decoded, encoded, fieldHead, shopSet, varint } from './shop.ts';
import { must } from '../../../../builders/must.ts';

const set = must(descriptorSetFrom(shopSet));

const shapes = messageShapes(set);

/** Each argument with its type, and its value where it is absent from a present message. */
const places: readonly (readonly [path: string, type: ArgumentType, absent?: unknown])[] = [
  ['customer', 'string', ''],
  ['order.amount_cents', 'long', 0],
  ['order.first.sku', 'string', ''],
  ['order.first.count', 'long'],
  ['tags', 'strings', []],
  ['priority', 'string', 0],
  ['card.limit', 'long', 0],
  ['iban', 'string'],
  ['free', 'bool'],
  ['coupon', 'string'],
  ['gift', 'bool', false],
  ['discount', 'decimal', 0],
  ['reference', 'string', ''],
  ...['i32', 'i64', 'u32', 'u64', 's32', 's64', 'f32', 'f64', 'sf32', 'sf64'].map(
    (name) => [`order.numbers.${name}`, 'long', 0] as const,
  ),
];

const argument = (path: string, type: ArgumentType): MessageArgument => ({
  name: path,
  from: 'message',
  path: path.split('.'),
  type,
  required: false,
});

const ROOT = 'acme.shop.v1.PlaceOrderRequest';
const shapeOf = (wanted: readonly (readonly [string, ArgumentType, unknown?])[], root = ROOT) => {
  const args = wanted.map(([path, type]) => argument(path, type));
  expect(args.map((arg) => pathProblem(set, root, arg))).toEqual(args.map(() => null));
  return shapes(root, { args, takesOthers: true });
};
const shape = shapeOf(places);

const read = (bytes: Uint8Array, wanted = shape): unknown => {
  const values = messageValues(bytes, wanted);
  return 'problem' in values ? `${values.reason}: ${values.problem}` : Object.fromEntries(values);
};

/** The expected arguments of a message decoded by protobufjs. */
function expectedFrom(message: unknown): Readonly<Record<string, unknown>> {
  const names = new Map<unknown, string>([
    [0, 'PRIORITY_NORMAL'],
    [1, 'PRIORITY_HIGH'],
    [-1, 'PRIORITY_LOW'],
  ]);
  const entries = places.flatMap(([path, type, absent]): (readonly [string, unknown])[] => {
    const steps = path.split('.');
    const last = steps.pop() ?? '';
    const within = steps.reduce<unknown>((object, step) => memberOf(object, step), message);
    const value = within === undefined ? undefined : (memberOf(within, last) ?? absent);
    if (value === undefined) return [];
    if (path === 'priority') return [[path, names.get(value)]];
    if (type === 'decimal') {
      const text = String(Number(value) + 0);
      return [[path, { decimal: text.includes('.') ? text : `${text}.0` }]];
    }
    return [[path, type === 'long' ? Number(value) + 0 : value]];
  });
  return Object.fromEntries(entries);
}

const memberOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Object.entries(value).find(([key]) => key === name)?.[1] : undefined;

const hex = (text: string): Uint8Array => Buffer.from(text.replaceAll(' ', ''), 'hex');
const joined = (...parts: readonly Uint8Array[]): Uint8Array => Buffer.concat(parts);
const delimited = (number: number, content: Uint8Array | string): Uint8Array =>
  joined(fieldHead(number, Buffer.byteLength(content)), Buffer.from(content));
const number = (field: number, value: bigint): Uint8Array => joined(varint(BigInt(field * 8)), varint(value));

describe('messageValues', () => {
  it('reads every type of argument', () => {
    const order = {
      customer: 'ada',
      order: {
        amount_cents: '1250',
        first: { sku: 'x-1', count: 2 },
        numbers: {
          i32: -2147483648,
          i64: '-9007199254740991',
          u32: 4294967295,
          u64: '9007199254740991',
          s32: -2147483648,
          s64: '-9007199254740991',
          f32: 4294967295,
          f64: '9007199254740991',
          sf32: -2147483648,
          sf64: '-9007199254740991',
        },
      },
      tags: ['a', '', 'ä'],
      priority: 1,
      card: { number: '4111', limit: '5' },
      gift: true,
      discount: 0.25,
      reference: 'r',
    };
    expect(read(encoded(order))).toEqual({
      customer: 'ada',
      'order.amount_cents': 1250,
      'order.first.sku': 'x-1',
      'order.first.count': 2,
      tags: ['a', '', 'ä'],
      priority: 'PRIORITY_HIGH',
      'card.limit': 5,
      gift: true,
      discount: { decimal: '0.25' },
      reference: 'r',
      'order.numbers.i32': -2147483648,
      'order.numbers.i64': -9007199254740991,
      'order.numbers.u32': 4294967295,
      'order.numbers.u64': 9007199254740991,
      'order.numbers.s32': -2147483648,
      'order.numbers.s64': -9007199254740991,
      'order.numbers.f32': 4294967295,
      'order.numbers.f64': 9007199254740991,
      'order.numbers.sf32': -2147483648,
      'order.numbers.sf64': -9007199254740991,
    });
  });

  it('uses defaults for implicit presence, and none for explicit presence or an absent message', () => {
    expect(read(new Uint8Array(0))).toEqual({
      customer: '',
      tags: [],
      priority: 'PRIORITY_NORMAL',
      gift: false,
      discount: { decimal: '0.0' },
      reference: '',
    });
    expect(read(encoded({ order: { first: {} } }))).toMatchObject({ 'order.amount_cents': 0, 'order.first.sku': '' });
  });

  it('follows the presence of proto2 and of editions', () => {
    const legacy = shapeOf(
      [
        ['amount', 'long'],
        ['currency', 'string'],
        ['kind', 'string'],
      ],
      'acme.legacy.PayRequest',
    );
    expect(read(hex('0805'), legacy)).toEqual({ amount: 5 });
    expect(read(hex('1800'), legacy)).toContain('`kind`, which has a number that the enum does not name');
    const edition = shapeOf(
      [
        ['amount', 'long'],
        ['currency', 'string'],
      ],
      'acme.edition.PayRequest',
    );
    expect(read(hex(''), edition)).toEqual({ amount: 0 });
    expect(read(hex('1200'), edition)).toEqual({ amount: 0, currency: '' });
  });

  it('skips other fields: unknown fields, other messages, packed and unpacked numbers', () => {
    const wanted = shapeOf([['customer', 'string']]);
    const others = [
      delimited(999, 'unknown'),
      number(998, -1n),
      hex('c93e0102030405060708'),
      hex('c53e01020304'),
      delimited(9, joined(delimited(1, 'a'), delimited(2, 'b'), delimited(999, 'unknown'))),
      delimited(12, number(1, -1n)),
      delimited(5, delimited(998, 'no message')),
      delimited(10, hex('ff00')),
      delimited(11, hex('0102')),
      number(11, 3n),
      number(4, 77n),
      number(4, -1n),
      delimited(536_870_911, ''),
    ];
    expect(read(joined(...others, delimited(1, 'ada'), ...others), wanted)).toEqual({ customer: 'ada' });
  });

  it('reads several arguments from one field', () => {
    const both = shapes(ROOT, {
      takesOthers: true,
      args: [
        { ...argument('customer', 'string'), name: 'a' },
        { ...argument('customer', 'decimal'), name: 'b' },
      ],
    });
    expect(read(delimited(1, '1.5'), both)).toEqual({ a: '1.5', b: { decimal: '1.5' } });
    expect(read(delimited(1, 'x'), both)).toBe(
      'action.arguments: has the argument `b`, which must be a number of at most 4 decimal places within ±922337203685477.5807',
    );
  });

  const deep = (depth: number): Uint8Array =>
    Array.from({ length: depth }).reduce<Uint8Array>(
      (inner, _, index) => delimited(index === depth - 1 ? 2 : 4, inner),
      new Uint8Array(0),
    );
  const amount = (value: bigint) => delimited(2, number(1, value));
  it.each([
    ['a field twice', joined(delimited(1, 'a'), delimited(1, 'b')), 'action.arguments: has the field `customer` twice'],
    ['a field twice, the same', joined(delimited(1, 'a'), delimited(1, 'a')), 'has the field `customer` twice'],
    ['a message on the way twice', joined(amount(1n), amount(2n)), 'has the field `order` twice'],
    ['a message on the way twice, once empty', joined(amount(1n), delimited(2, '')), 'has the field `order` twice'],
    [
      'a number twice within it',
      delimited(2, joined(number(1, 1n), number(1, 2n))),
      'has the field `amount_cents` twice',
    ],
    [
      'two members of a oneof',
      joined(delimited(6, 'DE'), number(7, 1n)),
      'has a second member of the oneof that `free` is in',
    ],
    [
      'a member that is no argument beside a member that is an argument',
      joined(delimited(5, ''), delimited(6, 'DE')),
      'has a second member of the oneof that `iban` is in',
    ],
    [
      'a field that could be a newer member of a oneof',
      delimited(300, 'x'),
      'action.arguments: has the field 300, which the descriptor set does not have, beside an argument in a oneof',
    ],
    ['a string as a number', number(1, 1n), 'request.malformed: has the field `customer` in another wire type'],
    ['a message as a number', number(2, 1n), 'has the field `order` in another wire type'],
    ['a number as bytes', delimited(2, delimited(1, 'x')), 'has the field `amount_cents` in another wire type'],
    ['a singular number, packed', delimited(14, hex('01')), 'has the field `gift` in another wire type'],
    ['a field beside it in another type', number(10, 1n), 'has the field `attachment` in another wire type'],
    [
      'bytes that are no UTF-8',
      delimited(1, hex('ff')),
      'action.arguments: has the field `customer`, which must be UTF-8',
    ],
    ['an overlong UTF-8', delimited(1, hex('c0af')), 'which must be UTF-8'],
    ['half a surrogate', delimited(1, hex('eda080')), 'which must be UTF-8'],
    ['U+0000', delimited(1, hex('00')), 'has the argument `customer`, which must be a string without U+0000'],
    ['a long string', delimited(1, 'a'.repeat(4097)), 'which must be a string of at most 4096 bytes'],
    [
      'many strings',
      joined(...Array(257).fill(delimited(3, ''))),
      '`tags`, which must be a list of at most 256 strings',
    ],
    [
      'a value among many strings that is not a string',
      joined(delimited(3, 'a'), delimited(3, hex('ff'))),
      'which must be UTF-8',
    ],
    ['2^53', amount(2n ** 53n), 'has the argument `order.amount_cents`, which must be a safe integer'],
    ['the least int64', amount(-(2n ** 63n)), 'which must be a safe integer'],
    ['2^53 + 1, which rounds', amount(2n ** 53n + 1n), 'which must be a safe integer'],
    ['an int32 of 33 bits', delimited(2, delimited(3, number(1, 2n ** 32n))), '`i32`, which has more than 32 bits'],
    [
      'an int32 without its sign',
      delimited(2, delimited(3, number(1, 2n ** 31n))),
      '`i32`, which has more than 32 bits',
    ],
    ['a uint32 of 33 bits', delimited(2, delimited(3, number(3, 2n ** 32n))), '`u32`, which has more than 32 bits'],
    ['a sint32 of 33 bits', delimited(2, delimited(3, number(5, 2n ** 32n))), '`s32`, which has more than 32 bits'],
    ['a bool that is 2', number(14, 2n), '`gift`, which is neither `true` nor `false`'],
    ['a bool that is 2^32', number(14, 2n ** 32n), '`gift`, which is neither `true` nor `false`'],
    ['an enum without a name', number(4, 7n), '`priority`, which has a number that the enum does not name'],
    [
      'no number',
      hex('79 000000000000f87f'),
      '`discount`, which must be a number of at most 4 decimal places within ±922337203685477.5807',
    ],
    ['a double of many places', hex('79 555555555555d53f'), '`discount`, which must be a number of at most 4 decimal'],
    [
      'a number of 33 bits that is no argument, after which some decoders are out of step',
      hex('58 808080808001'),
      'request.malformed: has the field `sizes`, which has more than 32 bits',
    ],
    ['the same, packed', delimited(11, hex('808080808001')), '`sizes`, which has more than 32 bits'],
    ['packed numbers that do not end', delimited(11, hex('80')), '`sizes`, which has a number that is not written'],
    [
      'the same in a message that no argument is in',
      delimited(12, delimited(3, number(1, 2n ** 32n))),
      '`i32`, which has more than 32 bits',
    ],
    ['a message that no argument is in and that is none', delimited(12, 'x'), 'has a number that is not written'],
    ['101 messages in each other', deep(101), 'request.malformed: nests deeper than 100'],
    ['the field 0', hex('00 00'), 'request.malformed: has a field with an invalid number'],
    ['a tag of 33 bits', hex('8a80808010 00'), 'has a field with an invalid number'],
    ['a group', hex('0b 0c'), 'has a group, or an unknown wire type'],
    ['an unknown group', hex('a33f a43f'), 'has a group, or an unknown wire type'],
    ['an end of a group', hex('0c'), 'has a group, or an unknown wire type'],
    ['the wire type 6', hex('0e'), 'has a group, or an unknown wire type'],
    ['the wire type 7', hex('0f'), 'has a group, or an unknown wire type'],
    ['a tag in two bytes that fits one byte', hex('8a00 00'), 'has a number that is not written as protobuf writes it'],
    [
      'a length in two bytes that fits one byte',
      hex('0a 8100 61'),
      'has a number that is not written as protobuf writes it',
    ],
    [
      'a value in two bytes that fits one byte',
      hex('70 8100'),
      'has a number that is not written as protobuf writes it',
    ],
    ['a value of 65 bits', hex('70 ffffffffffffffffff02'), 'has a number that is not written as protobuf writes it'],
    ['a value of 11 bytes', hex('70 8080808080808080808001'), 'has a number that is not written as protobuf'],
    ['a cut tag', hex('80'), 'has a number that is not written as protobuf writes it'],
    ['a cut value', hex('70 80'), 'has a number that is not written as protobuf writes it'],
    ['no value', hex('70'), 'has a number that is not written as protobuf writes it'],
    ['a length beyond the end', hex('0a 02 61'), 'ends within a field'],
    ['a length of 2^32', hex('0a 8080808010 61'), 'ends within a field'],
    ['a length of 2^63', hex('0a 80808080808080808001 61'), 'ends within a field'],
    ['a length beyond its message', hex('12 02 0a 05 6161616161'), 'ends within a field'],
    ['a cut fixed64', hex('79 00000000000000'), 'ends within a field'],
    ['a cut fixed32', hex('6d 000000'), 'ends within a field'],
    ['many fields', Buffer.alloc(2 * (MAX_FIELDS + 1), hex('7000')), 'has the field `gift` twice'],
    ['many fields that are none', Buffer.alloc(2 * (MAX_FIELDS + 1), hex('5800')), 'request.too-large: has more than'],
  ])('refuses %s', (_name, bytes, expected) => {
    const outcome = read(bytes);
    expect(typeof outcome === 'string' && outcome.includes(expected) ? expected : outcome).toBe(expected);
  });

  const text = fc.string({ maxLength: 12, unit: 'grapheme' }).map((one) => one.replaceAll('\0', ''));
  const long = fc.bigInt({ min: -(2n ** 53n) + 1n, max: 2n ** 53n - 1n }).map(String);
  const absent = { requiredKeys: [] };
  const orders = fc.record(
    {
      customer: text,
      order: fc.record(
        {
          amount_cents: long,
          first: fc.record({ sku: text, count: fc.nat() }, absent),
          numbers: fc.record(
            {
              i32: fc.integer(),
              i64: long,
              u32: fc.nat(),
              u64: fc.bigInt({ min: 0n, max: 2n ** 53n - 1n }).map(String),
              s32: fc.integer(),
              s64: long,
              f32: fc.nat(),
              sf32: fc.integer(),
              sf64: long,
            },
            absent,
          ),
        },
        absent,
      ),
      tags: fc.array(text, { maxLength: 5 }),
      priority: fc.constantFrom(0, 1, -1),
      coupon: text,
      gift: fc.boolean(),
      discount: fc.integer().map((ten) => ten / 10_000),
      reference: text,
      more: fc.array(fc.record({ amount_cents: long })),
      sizes: fc.array(fc.integer()),
    },
    absent,
  );
  const payments = fc.oneof(
    fc.constant({}),
    fc.record({ iban: text }),
    fc.record({ free: fc.boolean() }),
    fc.record({ card: fc.record({ limit: long }, absent) }),
  );
  const messages = fc.tuple(orders, payments).map(([order, payment]) => encoded({ ...order, ...payment }));

  it('agrees with protobufjs on every encoded message', () => {
    fc.assert(
      fc.property(messages, (bytes) => {
        expect(read(bytes)).toEqual(expectedFrom(decoded(bytes)));
      }),
      { numRuns: 500 },
    );
  });

  it('never throws, and never reads another value than protobufjs, for any bytes', () => {
    const piece = fc.oneof(
      messages,
      fc.uint8Array({ maxLength: 12 }),
      fc
        .tuple(fc.integer({ min: 1, max: 16 }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }))
        .map(([at, n]) => number(at, n)),
      fc
        .tuple(fc.integer({ min: 1, max: 16 }), fc.uint8Array({ maxLength: 8 }))
        .map(([at, bytes]) => delimited(at, Buffer.from(bytes))),
    );
    const pieces = fc.array(piece, { maxLength: 4 }).map((parts) => joined(...parts));
    const changed = fc
      .tuple(messages, fc.nat(200), fc.uint8Array({ maxLength: 2 }))
      .map(([bytes, at, put]) => joined(bytes.subarray(0, at), put, bytes.subarray(at + put.length)));
    let accepted = 0;
    fc.assert(
      fc.property(fc.oneof(pieces, changed), (bytes) => {
        const outcome = read(bytes);
        if (typeof outcome === 'string') return;
        let message: unknown;
        try {
          message = decoded(bytes);
        } catch {
          // Messages without arguments may be invalid; a server that decodes them refuses the call.
          return;
        }
        accepted += 1;
        expect(outcome).toEqual(expectedFrom(message));
      }),
      { numRuns: 3000 },
    );
    expect(accepted).toBeGreaterThan(100);
  });
});
