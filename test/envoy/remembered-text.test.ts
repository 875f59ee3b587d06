import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { remembering } from '../../src/envoy/remembered-text.ts';

const decoded = (bytes: Buffer, from: number, to: number): string => bytes.toString('utf8', from, to);

describe('remembering', () => {
  it('makes a text once, at any offset', () => {
    let count = 0;
    const make = remembering((bytes: Buffer, from: number, to: number) => {
      count += 1;
      return decoded(bytes, from, to);
    });
    const bytes = Buffer.from('spiffe://acme.test/a spiffe://acme.test/a spiffe://acme.test/b');
    expect([make(bytes, 0, 20), make(bytes, 21, 41), make(bytes, 42, 62), make(bytes, 0, 20)]).toEqual([
      'spiffe://acme.test/a',
      'spiffe://acme.test/a',
      'spiffe://acme.test/b',
      'spiffe://acme.test/a',
    ]);
    expect(count).toBe(2);
  });

  it('does not memoise long and empty texts', () => {
    let count = 0;
    const make = remembering((_bytes: Buffer, from: number, to: number) => {
      count += 1;
      return from === to ? null : 'x'.repeat(to - from);
    });
    const bytes = Buffer.alloc(200, 'x');
    for (const length of [97, 97, 0, 0]) make(bytes, 0, length);
    expect(count).toBe(4);
    expect([make(bytes, 0, 96), make(bytes, 0, 96), count]).toEqual(['x'.repeat(96), 'x'.repeat(96), 5]);
  });

  it('always returns the text of the bytes, for similar texts', () => {
    const make = remembering(decoded);
    const unit = fc
      .constantFrom('a', 'b', 'e9', 'c3a9', 'ff', 'fffd', 'efbfbd', '00')
      .map((name) => (name.length === 1 ? Buffer.from(name) : Buffer.from(name, 'hex')));
    fc.assert(
      fc.property(fc.array(unit, { maxLength: 6 }), fc.nat(3), (units, before) => {
        const bytes = Buffer.concat([Buffer.alloc(before, 'a'), ...units, Buffer.from('b')]);
        expect(make(bytes, before, bytes.length - 1)).toBe(decoded(bytes, before, bytes.length - 1));
      }),
      { numRuns: 5_000 },
    );
  });
});
