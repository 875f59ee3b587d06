import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { isDeny } from '../../src/decision/decision.ts';
import { headerCountOf } from '../../src/envoy/header-count.ts';
import { metadataCountOf } from '../../src/envoy/metadata-count.ts';
import { decodedCheckRequestFrom } from '../../src/envoy/request.ts';
import { envoyCheckRequestType } from './protos.ts';
import { structOf, type Plain } from './structs.ts';

const requestWith = (attributes: object): Buffer => envoyCheckRequestType.serialize({ attributes });
const metadataOf = (value: Readonly<Record<string, Plain>>) => ({ filter_metadata: { n: structOf(value) } });

/** A struct counts its fields, a list its items; the namespace is one more. */
const sizeOf = (value: Plain): number => {
  if (typeof value !== 'object' || value === null) return 0;
  return Object.values(value).reduce<number>((sum, item: Plain) => sum + 1 + sizeOf(item), 0);
};

describe('metadataCountOf', () => {
  it('counts what was put in, at any depth and in either place', () => {
    const object = fc.dictionary(fc.string({ minLength: 1 }), fc.jsonValue({ maxDepth: 4 }));
    fc.assert(
      fc.property(object, fc.boolean(), (given, isOfRoute) => {
        const value = given as Readonly<Record<string, Plain>>;
        const bytes = requestWith({ [isOfRoute ? 'route_metadata_context' : 'metadata_context']: metadataOf(value) });
        expect(metadataCountOf(bytes, 10_000)).toBe(1 + sizeOf(value));
      }),
    );
  });

  it('counts typed metadata too, and one more than the most', () => {
    const typed_filter_metadata = Object.fromEntries(
      Array.from({ length: 9 }, (_, n) => [`n${n}`, { value: Buffer.alloc(2) }]),
    );
    const bytes = requestWith({ metadata_context: { typed_filter_metadata } });
    expect(metadataCountOf(bytes, 100)).toBe(9);
    expect(metadataCountOf(bytes, 5)).toBe(6);
  });

  it('never throws and never counts more than there are bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        expect(metadataCountOf(bytes, 1000)).toBeLessThanOrEqual(bytes.length);
      }),
      { numRuns: 2000 },
    );
  });

  it.each<[string, Readonly<Record<string, Plain>>]>([
    ['fields', Object.fromEntries(Array.from({ length: 513 }, (_, n) => [`f${n}`, {}]))],
    ['items', { list: Array.from({ length: 20_000 }, () => ({})) }],
  ])('keeps metadata of more than 512 %s from being decoded', (_name, value) => {
    const decoded = decodedCheckRequestFrom(requestWith({ metadata_context: metadataOf(value) }));
    expect(isDeny(decoded) && [decoded.reason, decoded.detail]).toEqual([
      'request.too-large',
      'the request has more than 512 values of metadata',
    ]);
  });

  it('lets 512 values in', () => {
    const fields = Object.fromEntries(Array.from({ length: 511 }, (_, n) => [`f${n}`, n]));
    expect(isDeny(decodedCheckRequestFrom(requestWith({ metadata_context: metadataOf(fields) })))).toBe(false);
  });
});

describe('a group, which the codec skips,', () => {
  it('hides nothing that comes after it', () => {
    const group = Buffer.from('7b7c', 'hex');
    const headers = requestWith({ request: { http: { headers: { a: 'b', c: 'd' } } } });
    expect(headerCountOf(Buffer.concat([group, headers]))).toBe(2);
    const metadata = requestWith({ metadata_context: metadataOf({ a: 1 }) });
    expect(metadataCountOf(Buffer.concat([group, metadata]), 10)).toBe(2);
  });
});
