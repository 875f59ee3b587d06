import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { framed, GrpcMessages } from '../../../../src/sidecar/envoy/grpc/grpc-messages.ts';

describe('GrpcMessages', () => {
  it('splits messages however their bytes arrive', () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 });
    const sizes = fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(messages, sizes, (sent, chunkSizes) => {
        const bytes = Buffer.concat(sent.map(framed));
        const reader = new GrpcMessages(300);
        const got: string[] = [];
        for (let at = 0, n = 0; at < bytes.length; n += 1) {
          const size = chunkSizes[n % chunkSizes.length] ?? 1;
          reader.add(Buffer.from(bytes.subarray(at, at + size)));
          at += size;
          for (let next = reader.next(); next !== null; next = reader.next()) {
            got.push(typeof next === 'string' ? next : next.toString('hex'));
          }
        }
        expect(got).toEqual(sent.map((message) => Buffer.from(message).toString('hex')));
        expect(reader.isPartial).toBe(false);
      }),
    );
  });

  it.each([
    ['nothing', '', 'incomplete'],
    ['a part of a prefix', '00000000', 'incomplete'],
    ['less than the prefix says', '000000000201', 'incomplete'],
    ['a compressed message', '010000000101', 'malformed'],
    ['an unknown flag', '800000000101', 'malformed'],
    ['two messages', '00000000000000000000', 'malformed'],
    ['bytes after the message', '000000000001', 'malformed'],
    ['the prefix of a message beyond the bound', '0000000009', 'too-large'],
    ['a length of 32 bits', '00ffffffff', 'too-large'],
  ])('refuses %s as the only message', (_name, hex, problem) => {
    const reader = new GrpcMessages(8);
    reader.add(Buffer.from(hex, 'hex'));
    expect(reader.only()).toBe(problem);
  });

  it('returns the only message, even an empty message', () => {
    for (const hex of ['0000000000', '0000000003010203']) {
      const reader = new GrpcMessages(8);
      reader.add(Buffer.from(hex, 'hex'));
      expect(reader.only()).toEqual(Buffer.from(hex.slice(10), 'hex'));
    }
  });
});
