import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { decodeHuffman, HUFFMAN_EXPANSION } from '../../../src/sidecar/http2/huffman.ts';
import { huffman } from './hpack.ts';

const decoded = (bytes: Buffer): Buffer | null => {
  const into = Buffer.alloc(Math.ceil(bytes.length * HUFFMAN_EXPANSION));
  const length = decodeHuffman(bytes, 0, bytes.length, into);
  return length === -1 ? null : into.subarray(0, length);
};

describe('decodeHuffman', () => {
  it('decodes each byte alone and after every other', () => {
    for (let first = 0; first < 256; first += 1) {
      expect(decoded(huffman(Buffer.of(first)))).toEqual(Buffer.of(first));
      const pairs = Buffer.from(Array.from({ length: 256 }, (_, second) => [first, second]).flat());
      expect(decoded(huffman(pairs))).toEqual(pairs);
    }
  });

  it('decodes any encoded text', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(decoded(huffman(Buffer.from(bytes)))).toEqual(Buffer.from(bytes));
      }),
    );
  });

  it('never exceeds its output bound, and accepts only one encoding of a text', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const text = decoded(Buffer.from(bytes));
        expect(text === null ? null : huffman(text)).toEqual(text === null ? null : Buffer.from(bytes));
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    ['nothing', Buffer.alloc(0), Buffer.alloc(0)],
    ['seven ones after a byte of five bits and a byte of four', huffman(Buffer.from('0'), '111'), Buffer.from('0')],
    ['zeros at the end', huffman(Buffer.from('0'), '000'), null],
    ['a zero among the ones', huffman(Buffer.from('0'), '101'), null],
    ['a byte of ones', Buffer.of(0xff), null],
    ['a byte of ones after a text', huffman(Buffer.from('0'), '11111111111'), null],
    ['the end of the text', Buffer.of(0xff, 0xff, 0xff, 0xff), null],
    [
      'the end of the text before its end',
      Buffer.concat([Buffer.of(0xff, 0xff, 0xff, 0xfc), huffman(Buffer.from('a'))]),
      null,
    ],
    ['half a code', Buffer.of(0xff, 0xff, 0xe0), null],
  ])('decodes or refuses %s', (_name, bytes, text) => {
    expect(decoded(bytes)).toEqual(text);
  });
});
