import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { DRAWERS, drawerOf, IndexBlock, offsetsIn } from '../../../../../src/core/ledger/log/segment/index-block.ts';

const key = fc.oneof(fc.integer({ min: 0, max: 2 ** 32 - 1 }), fc.constantFrom(0, 1, 2 ** 31, 2 ** 32 - 1, 7));
const records = fc.array(fc.array(key, { maxLength: 3 }), { maxLength: 200 });

const filled = (all: readonly (readonly number[])[], from = 1): IndexBlock => {
  const block = new IndexBlock(from);
  for (const keys of all) block.add(keys, 100);
  return block;
};

describe('IndexBlock', () => {
  it('finds exactly the records of a key, in order', () => {
    fc.assert(
      fc.property(records, fc.nat(), (all, from) => {
        const block = filled(all, from);
        expect([block.from, block.upto]).toEqual([from, from + all.length - 1]);
        const drawers = block.drawers();
        expect(drawers).toHaveLength(DRAWERS);
        for (const each of new Set([...all.flat(), 12_345])) {
          const offsets = all.flatMap((keys, offset) => keys.filter((one) => one === each).map(() => offset));
          expect(offsetsIn(drawers[drawerOf(each)] ?? Buffer.of(), each)).toEqual(offsets);
        }
      }),
    );
  });

  it.each([
    ['4,096 records', 4_096, 1],
    ['4 MiB of leaves', 65, 65_535],
  ])('is full with %s', (_name, count, bytes) => {
    const block = new IndexBlock(1);
    for (let n = 1; n < count; n++) block.add([n], bytes);
    expect(block.isFull).toBe(false);
    block.add([0], bytes);
    expect(block.isFull).toBe(true);
    // The offset of the last one fits.
    expect(offsetsIn(block.drawers()[drawerOf(0)] ?? Buffer.of(), 0)).toEqual([count - 1]);
  });
});

describe('offsetsIn', () => {
  it('accepts any bytes, and ignores an incomplete entry at the end', () => {
    const drawer = Buffer.from('0000000700020000000700', 'hex');
    expect(offsetsIn(drawer, 7)).toEqual([2]);
    expect(offsetsIn(Buffer.of(), 7)).toEqual([]);
  });
});
