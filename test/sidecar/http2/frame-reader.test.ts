import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { Frame } from '../../../src/sidecar/http2/frame.ts';
import { FrameReader } from '../../../src/sidecar/http2/frame-reader.ts';
import { frame } from './raw-client.ts';

/** Frames read from chunks, and `too-large` where that is reported. */
const read = (chunks: readonly Buffer[]): readonly (Frame | string)[] => {
  const reader = new FrameReader();
  const came: (Frame | string)[] = [];
  for (const chunk of chunks) {
    const outcome = reader.read(chunk, (one) => {
      // A copy: later input must not change earlier frames.
      came.push({ ...one, payload: Buffer.from(one.payload) });
      return true;
    });
    if (outcome === 'read') continue;
    came.push(outcome);
    break;
  }
  return came;
};

/** Bytes in pieces of these sizes, repeated. */
const split = (bytes: Buffer, sizes: readonly number[]): readonly Buffer[] => {
  const chunks: Buffer[] = [];
  for (let at = 0, n = 0; at < bytes.length; n += 1) {
    const size = sizes[n % sizes.length] ?? 1;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
};

const payload = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)) },
  { weight: 1, arbitrary: fc.integer({ min: 16_370, max: 16_384 }).map((length) => Buffer.alloc(length, length)) },
);
const anyFrame = fc
  .record({ type: fc.nat(255), flags: fc.nat(255), stream: fc.nat(0x7fff_ffff), payload })
  .map(({ type, ...rest }) => frame(type, rest));

/** The bytes of the frames, which are faster to compare. */
const again = (frames: readonly (Frame | string)[]): Buffer =>
  Buffer.concat(frames.map((one) => (typeof one === 'string' ? Buffer.from(one) : frame(one.type, one))));

describe('FrameReader', () => {
  it('reads the same frames however their bytes are split', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 10 });
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 12 }), sizes, (frames, inPieces) => {
        const bytes = Buffer.concat(frames);
        for (const pieces of [[bytes.length], inPieces, [1]]) {
          expect(again(read(split(bytes, pieces))).equals(bytes)).toBe(true);
        }
      }),
      { numRuns: 200 },
    );
  });

  it.each(Array.from({ length: 12 }, (_, at) => [at]))(
    'accepts up to 16,384 bytes, judging by the head, split after %i bytes',
    (at) => {
      const largest = frame(0, { payload: Buffer.alloc(16_384) });
      const over = frame(0, { payload: Buffer.alloc(16_385) });
      const pieces = (bytes: Buffer) => [bytes.subarray(0, at), bytes.subarray(at)];
      expect(read(pieces(largest))).toHaveLength(1);
      expect(read([largest, ...pieces(over).map((piece) => piece.subarray(0, 9)), largest])).toEqual([
        expect.objectContaining({ type: 0 }),
        'too-large',
      ]);
    },
  );

  it('stops when `take` returns false, and passes no further frame', () => {
    for (const size of [1, 1_000]) {
      const reader = new FrameReader();
      const types: number[] = [];
      const bytes = Buffer.concat([frame(1), frame(2, { payload: Buffer.alloc(3) }), frame(3)]);
      for (const chunk of split(bytes, [size])) {
        if (types.includes(2)) break;
        reader.read(chunk, ({ type }) => {
          types.push(type);
          return type !== 2;
        });
      }
      expect(types).toEqual([1, 2]);
    }
  });

  it('ignores the reserved bit of a stream id', () => {
    const bytes = frame(0, { stream: 5 });
    bytes.writeUInt8(0x80, 5);
    expect(read([bytes])).toEqual([expect.objectContaining({ stream: 5 })]);
    expect(read(split(bytes, [1]))).toEqual([expect.objectContaining({ stream: 5 })]);
  });

  it('holds no chunk for an incomplete frame', () => {
    const reader = new FrameReader();
    const largest = frame(0, { payload: Buffer.alloc(16_384, 7) });
    const chunk = Buffer.from(largest.subarray(0, 10_000));
    const came: Buffer[] = [];
    const take = ({ payload: bytes }: Frame): boolean => came.push(bytes) > 0;
    reader.read(chunk, take);
    chunk.fill(0);
    reader.read(largest.subarray(10_000), take);
    expect(came).toEqual([Buffer.alloc(16_384, 7)]);
    expect(came[0]?.buffer.byteLength).toBe(16_384);
  });
});
