import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import {
  appended,
  emptyRange,
  isRange,
  rangeBytes,
  rangeFrom,
  subtreeSizes,
  type CompactRange,
} from '../../../../src/core/ledger/proof/compact-range.ts';
import { rootOf } from '../../../../src/core/ledger/proof/merkle.ts';
import { naiveRoot, someLeaves } from '../naive-merkle.ts';

const rangeOf = (count: number): CompactRange => someLeaves(count).reduce(appended, emptyRange);

describe('CompactRange', () => {
  it('has the root of the naive tree at each size up to 130', () => {
    const leaves = someLeaves(130);
    let range = emptyRange;
    for (const [index, leaf] of leaves.entries()) {
      range = appended(range, leaf);
      expect(Buffer.from(rootOf(range.nodes))).toEqual(naiveRoot(leaves.slice(0, index + 1)));
      expect(isRange(range)).toBe(true);
    }
  });

  it('has the nodes of the maximal full subtrees, largest first', () => {
    const leaves = someLeaves(13);
    expect(rangeOf(13)).toEqual({
      size: 13,
      nodes: [naiveRoot(leaves.slice(0, 8)), naiveRoot(leaves.slice(8, 12)), leaves[12]],
    });
  });

  it('appended does not change its argument', () => {
    const before = rangeOf(7);
    const nodes = [...before.nodes];
    appended(before, someLeaves(8)[7] ?? Buffer.alloc(32));
    expect(before).toEqual({ size: 7, nodes });
  });

  it.each<[number, readonly number[]]>([
    [0, []],
    [1, [1]],
    [6, [4, 2]],
    [2 ** 40 + 1, [2 ** 40, 1]],
  ])('subtreeSizes of %d are %j', (size, sizes) => {
    expect(subtreeSizes(size)).toEqual(sizes);
  });

  it('rangeFrom reads what rangeBytes wrote, for any size', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (size) => {
        const range = { size, nodes: subtreeSizes(size).map((subtree) => Buffer.alloc(32, subtree % 251)) };
        expect(rangeFrom(new Uint8Array(rangeBytes(range)))).toEqual(range);
      }),
    );
  });

  const stored = Buffer.from(rangeBytes(rangeOf(6)));
  it.each([
    ['nothing', Buffer.alloc(0)],
    ['a truncated size', stored.subarray(0, 7)],
    ['a missing node', stored.subarray(0, -32)],
    ['a truncated node', stored.subarray(0, -1)],
    ['a byte too many', Buffer.concat([stored, Buffer.of(0)])],
    ['a node too many', Buffer.concat([stored, Buffer.alloc(32)])],
    ['a size that is not safe', Buffer.concat([Buffer.from('0020000000000000', 'hex'), Buffer.alloc(32)])],
  ])('rangeFrom refuses %s', (_name, bytes) => {
    expect(rangeFrom(bytes)).toBeNull();
  });

  const [node] = someLeaves(1) as [Buffer];
  it.each<[string, CompactRange]>([
    ['a node too few', { size: 3, nodes: [node] }],
    ['a node too many', { size: 4, nodes: [node, node] }],
    ['a short node', { size: 1, nodes: [node.subarray(1)] }],
    ['a negative size', { size: -1, nodes: [] }],
    ['a fraction', { size: 0.5, nodes: [] }],
    ['a size that is not safe', { size: 2 ** 53, nodes: [node] }],
  ])('isRange refuses %s', (_name, range) => {
    expect(isRange(range)).toBe(false);
  });
});
