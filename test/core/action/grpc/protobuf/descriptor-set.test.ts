import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { descriptorSetFrom } from '../../../../../src/core/action/grpc/protobuf/descriptor-set.ts';
import type { DescriptorSet } from '../../../../../src/core/action/grpc/protobuf/descriptor-set.ts';
import { fieldHead, loadedSet, shopSet } from './shop.ts';
import { must } from '../../../../builders/must.ts';

const mustRead = (bytes: Uint8Array): DescriptorSet => must(descriptorSetFrom(bytes));

const delimited = (number: number, content: Uint8Array | string): Uint8Array => {
  const bytes = Buffer.from(content);
  return Buffer.concat([fieldHead(number, bytes.length), bytes]);
};

describe('descriptorSetFrom', () => {
  const set = mustRead(shopSet);
  const field = (message: string, name: string) => set.messages.get(message)?.fields.get(name);
  const request = 'acme.shop.v1.PlaceOrderRequest';

  it.each([
    ['a proto3 scalar', request, 'customer', { number: 1, kind: 'string', hasPresence: false, oneof: null }],
    ['a proto3 optional', request, 'coupon', { kind: 'string', hasPresence: true, oneof: null }],
    ['a member of a oneof', request, 'iban', { hasPresence: true, oneof: 0 }],
    ['a message', request, 'order', { kind: 'message', typeName: 'acme.shop.v1.Order', hasPresence: true }],
    ['a nested message', 'acme.shop.v1.Order', 'first', { typeName: 'acme.shop.v1.Order.Line' }],
    ['a repeated field', request, 'tags', { isRepeated: true }],
    ['an enum', request, 'priority', { kind: 'enum', typeName: 'acme.shop.v1.Priority', hasPresence: false }],
    ['a large number', request, 'reference', { number: 200 }],
    ['a proto2 scalar', 'acme.legacy.PayRequest', 'currency', { hasPresence: true }],
    ['a proto2 group', 'acme.legacy.PayRequest', 'details', { kind: 'group' }],
    ['an edition without presence', 'acme.edition.PayRequest', 'amount', { hasPresence: false }],
    ['an edition with presence', 'acme.edition.PayRequest', 'currency', { hasPresence: true }],
    ['an edition with the encoding of a group', 'acme.edition.PayRequest', 'inner', { kind: 'group' }],
  ])('reads %s', (_name, message, name, expected) => {
    expect(field(message, name)).toMatchObject({ name, ...expected });
  });

  it('reads methods, enums with the first name per number, and map entries', () => {
    expect([...set.services.keys()]).toEqual(['acme.shop.v1.Shop', 'acme.legacy.Legacy', 'acme.edition.Edition']);
    expect(Object.fromEntries(set.services.get('acme.shop.v1.Shop') ?? [])).toEqual({
      PlaceOrder: { input: request, isClientStreaming: false },
      Watch: { input: request, isClientStreaming: false },
      Upload: { input: request, isClientStreaming: true },
    });
    expect(Object.fromEntries(set.enums.get('acme.shop.v1.Priority') ?? [])).toEqual({
      0: 'PRIORITY_NORMAL',
      1: 'PRIORITY_HIGH',
      [-1]: 'PRIORITY_LOW',
    });
    expect(set.messages.get(`${request}.NotesEntry`)?.isMapEntry).toBe(true);
  });

  it('reads sets of protobufjs, with relative type names, like those of protoc', () => {
    const loaded = mustRead(loadedSet);
    expect(loaded.services).toEqual(new Map([...set.services].slice(0, 1)));
    expect(loaded.enums.get('acme.shop.v1.Priority')).toEqual(set.enums.get('acme.shop.v1.Priority'));
    for (const [name, message] of loaded.messages) {
      // protobufjs names map entries differently, and writes `optional` like a oneof.
      if (message.isMapEntry) continue;
      const fields = [...message.fields.values()].filter((one) => !['notes', 'coupon', 'count'].includes(one.name));
      for (const one of fields) expect([name, one]).toEqual([name, field(name, one.name)]);
    }
  });

  const file = (...parts: readonly Uint8Array[]): Uint8Array => delimited(1, Buffer.concat(parts));
  const named = (number: number, name: string): Uint8Array => delimited(number, delimited(1, name));
  const nested = (depth: number): Uint8Array =>
    depth === 0 ? delimited(1, 'm') : Buffer.concat([delimited(1, 'm'), delimited(3, nested(depth - 1))]);
  it.each([
    ['nothing', new Uint8Array(0), 'it has no files'],
    ['a .proto file', Buffer.from('syntax = "proto3";\nservice A { rpc B (C) returns (D); }\n'), 'it '],
    ['JSON', Buffer.from('{"file":[]}'), 'it '],
    ['a set that is cut', shopSet.subarray(0, -1), 'it ends within a field'],
    ['a message twice', file(named(4, 'A'), named(4, 'A')), 'it has `A` twice'],
    ['a service twice, in two files', Buffer.concat([file(named(6, 'A')), file(named(6, 'A'))]), 'it has `A` twice'],
    ['a field of no type', file(delimited(4, named(2, 'x'))), 'it has a field `x` of no type'],
    ['a field in another wire type', file(Uint8Array.of(0x08, 1)), 'it has the field `name` in another wire type'],
    ['a singular field twice', file(delimited(1, 'a'), delimited(1, 'b')), 'it has the field `name` twice'],
    ['a group', file(Uint8Array.of(0x0b, 0x0c)), 'it has a group, or an unknown wire type'],
    ['messages deeper than the scan', file(delimited(4, nested(80))), 'it nests deeper than 64'],
    ['a long name', file(named(4, 'a'.repeat(513))), 'it has a name of more than 512 characters'],
    ['a long package', file(delimited(2, 'a.'.repeat(64)), named(4, 'A')), 'it has a name of more than 64 parts'],
    ['messages in messages in messages', file(delimited(4, nested(33))), 'it nests messages deeper than 32'],
  ])('refuses %s', (_name, bytes, problem) => {
    const read = descriptorSetFrom(bytes);
    expect('problem' in read ? read.problem : 'read').toContain(`is not a descriptor set: ${problem}`);
  });

  it('never throws, for any bytes', () => {
    const changed = fc
      .tuple(fc.nat(shopSet.length - 1), fc.uint8Array({ maxLength: 8 }))
      .map(([at, bytes]) => Buffer.concat([shopSet.subarray(0, at), bytes, shopSet.subarray(at + bytes.length)]));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), changed), (bytes) => {
        expect(typeof descriptorSetFrom(bytes)).toBe('object');
      }),
      { numRuns: 500 },
    );
  });
});
