import { describe, expect, it } from '@jest/globals';
import { EMPTY_ROOT, leafHash, leftSize, nodeHash, rootOf } from '../../../../src/core/ledger/proof/merkle.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('merkle', () => {
  // The known answers of Certificate Transparency's reference implementation.
  it.each([
    ['the root of an empty tree', EMPTY_ROOT, 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
    ['an empty leaf', leafHash(new Uint8Array()), '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d'],
    ['a leaf', leafHash(Buffer.from('L123456')), '395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56'],
    [
      'a node',
      nodeHash(Buffer.from('N123'), Buffer.from('N456')),
      'aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb',
    ],
  ])('hashes %s', (_name, hash, expected) => {
    expect(hex(hash)).toBe(expected);
  });

  it('rootOf is the empty root without nodes, the node itself with a single node, and folds from the right', () => {
    const [a, b, c] = ['a', 'b', 'c'].map((text) => leafHash(Buffer.from(text))) as [Buffer, Buffer, Buffer];
    expect(rootOf([])).toEqual(EMPTY_ROOT);
    expect(rootOf([a])).toBe(a);
    expect(hex(rootOf([a, b, c]))).toBe(hex(nodeHash(a, nodeHash(b, c))));
  });

  it.each([
    [2, 1],
    [3, 2],
    [4, 2],
    [5, 4],
    [8, 4],
    [9, 8],
    [Number.MAX_SAFE_INTEGER, 2 ** 52],
  ])('leftSize of %d is %d', (size, left) => {
    expect(leftSize(size)).toBe(left);
  });
});
