import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { appended, emptyRange } from '../../../src/core/ledger/proof/compact-range.ts';
import { consistencyProblem, consistencyProof } from '../../../src/core/ledger/proof/consistency-proof.ts';
import type { HashedLog } from '../../../src/core/ledger/proof/hashed-log.ts';
import { inclusionProblem, inclusionProof } from '../../../src/core/ledger/proof/inclusion-proof.ts';
import { naiveConsistency, naivePath, naiveRoot, someLeaves } from './naive-merkle.ts';

const MOST = 70;
const all = someLeaves(MOST);

/** The log without its first `pruned` records: reading one of those fails the test. */
const logPrunedAt = (pruned: number): HashedLog => ({
  carried: all.slice(0, pruned).reduce(appended, emptyRange),
  leaf: (index) => {
    const leaf = all[index];
    if (index < pruned || leaf === undefined) throw new Error(`leaf ${index} is not there`);
    return leaf;
  },
});

/** A size, a number of pruned records, and one that is not pruned. */
const pruned = fc.integer({ min: 1, max: MOST }).chain((size) =>
  fc.tuple(fc.constant(size), fc.integer({ min: 0, max: size - 1 })).chain(([, gone]) =>
    fc.record({
      size: fc.constant(size),
      gone: fc.constant(gone),
      index: fc.integer({ min: gone, max: size - 1 }),
    }),
  ),
);

describe('inclusionProof', () => {
  it('equals the path of the naive tree and is valid, in a whole log and a pruned log', () => {
    fc.assert(
      fc.property(pruned, ({ size, gone, index }) => {
        const proof = inclusionProof(logPrunedAt(gone), index, size);
        const leaves = all.slice(0, size);
        expect(proof?.map((hash) => Buffer.from(hash))).toEqual(naivePath(index, leaves));
        const claim = { index, size, root: naiveRoot(leaves), proof: proof ?? [] };
        expect(inclusionProblem(all[index] ?? Buffer.alloc(0), claim)).toBeNull();
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ['a record that was pruned', 4, 3, 8],
    ['an index at the size', 0, 8, 8],
    ['an index in an empty tree', 0, 0, 0],
  ])('is `null` for %s', (_name, gone, index, size) => {
    expect(inclusionProof(logPrunedAt(gone), index, size)).toBeNull();
  });
});

describe('inclusionProblem', () => {
  it('refuses every other leaf, index, size, root or sequence of hashes', () => {
    const change = fc.constantFrom('leaf', 'index', 'size', 'root', 'bit', 'cut', 'added', 'swapped');
    fc.assert(
      fc.property(pruned, change, fc.nat(), ({ size, index }, kind, any) => {
        const leaves = all.slice(0, size);
        const leaf = all[index] ?? Buffer.alloc(0);
        const proof: Buffer[] = naivePath(index, leaves).map((hash) => Buffer.from(hash));
        const claim = { index, size, root: naiveRoot(leaves), proof };
        const changed = proof[any % Math.max(proof.length, 1)];
        switch (kind) {
          case 'leaf':
            expect(inclusionProblem(Buffer.from(leaf).fill(any % 256, 3, 5), claim)).not.toBeNull();
            break;
          case 'index': {
            const other = any % (size + 2);
            fc.pre(other !== index);
            expect(inclusionProblem(leaf, { ...claim, index: other })).not.toBeNull();
            break;
          }
          case 'size': {
            // A path to the same root can fit two sizes only if its shape is the same; then it proves as much.
            const other = any % (2 * size);
            fc.pre(other <= index || naivePath(index, all.slice(0, other)).length !== proof.length);
            expect(inclusionProblem(leaf, { ...claim, size: other })).not.toBeNull();
            break;
          }
          case 'root':
            expect(inclusionProblem(leaf, { ...claim, root: naiveRoot(all.slice(0, size - 1)) })).not.toBeNull();
            break;
          case 'bit':
            fc.pre(changed !== undefined);
            if (changed !== undefined) changed[any % 32] = (changed[any % 32] ?? 0) ^ (1 << (any % 8));
            expect(inclusionProblem(leaf, claim)).toBe('the proof leads to another root');
            break;
          case 'cut':
            fc.pre(changed !== undefined);
            proof.splice(any % Math.max(proof.length, 1), 1);
            expect(inclusionProblem(leaf, claim)).not.toBeNull();
            break;
          case 'added':
            proof.splice(any % (proof.length + 1), 0, leaf);
            expect(inclusionProblem(leaf, claim)).not.toBeNull();
            break;
          case 'swapped':
            fc.pre(proof.length > 1);
            expect(inclusionProblem(leaf, { ...claim, proof: proof.toReversed() })).not.toBeNull();
            break;
        }
      }),
      { numRuns: 500 },
    );
  });

  const claim = { index: 1, size: 3, root: naiveRoot(all.slice(0, 3)), proof: naivePath(1, all.slice(0, 3)) };
  it.each<[string, Partial<typeof claim>, string]>([
    ['a negative index', { index: -1 }, 'the index is not in the tree'],
    ['a fraction', { index: 0.5 }, 'the index is not in the tree'],
    ['a size that is not safe', { size: 2 ** 53 }, 'the index is not in the tree'],
    ['an index at the size', { index: 3 }, 'the index is not in the tree'],
    ['a short hash', { proof: [Buffer.alloc(31), Buffer.alloc(32)] }, 'a hash must be 32 bytes'],
    ['a proof too short', { proof: claim.proof.slice(0, 1) }, 'the proof is too short'],
    ['a proof too long', { proof: [...claim.proof, Buffer.alloc(32)] }, 'the proof is too long'],
    ['another root', { root: Buffer.alloc(32) }, 'the proof leads to another root'],
    ['no root', { root: Buffer.alloc(0) }, 'the proof leads to another root'],
  ])('names %s', (_name, changed, problem) => {
    expect(inclusionProblem(all[1] ?? Buffer.alloc(0), { ...claim, ...changed })).toBe(problem);
  });
});

describe('consistencyProof', () => {
  it('equals the proof of the naive tree and is valid, in a whole log and a pruned log', () => {
    fc.assert(
      fc.property(pruned, ({ size, gone, index }) => {
        const oldSize = index === 0 ? 1 : index;
        fc.pre(oldSize >= gone);
        const leaves = all.slice(0, size);
        const proof = consistencyProof(logPrunedAt(gone), oldSize, size);
        expect(proof?.map((hash) => Buffer.from(hash))).toEqual(naiveConsistency(oldSize, leaves));
        const oldRoot = naiveRoot(all.slice(0, oldSize));
        const claim = { oldSize, oldRoot, size, root: naiveRoot(leaves), proof: proof ?? [] };
        expect(consistencyProblem(claim)).toBeNull();
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ['an older tree that is empty', 0, 0, 4],
    ['an older tree that is larger', 0, 5, 4],
    ['an older tree that ends in the pruned part', 4, 3, 8],
  ])('is `null` for %s', (_name, gone, oldSize, size) => {
    expect(consistencyProof(logPrunedAt(gone), oldSize, size)).toBeNull();
  });
});

describe('consistencyProblem', () => {
  it('refuses a tree with one changed old leaf, whatever proof its log makes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: MOST }), fc.nat(), fc.nat(), (size, a, b) => {
        const oldSize = 1 + (a % size);
        const forged = all.slice(0, size).with(b % oldSize, Buffer.alloc(32, 7));
        const problem = consistencyProblem({
          oldSize,
          oldRoot: naiveRoot(all.slice(0, oldSize)),
          size,
          root: naiveRoot(forged),
          proof: naiveConsistency(oldSize, forged),
        });
        expect(problem).not.toBeNull();
      }),
      { numRuns: 500 },
    );
  });

  const [oldSize, size] = [3, 7];
  const claim = {
    oldSize,
    oldRoot: naiveRoot(all.slice(0, oldSize)),
    size,
    root: naiveRoot(all.slice(0, size)),
    proof: naiveConsistency(oldSize, all.slice(0, size)),
  };
  it.each<[string, Partial<typeof claim>, string]>([
    ['an empty old tree', { oldSize: 0 }, 'the older tree is empty or larger'],
    ['a shrunk tree', { size: 2 }, 'the older tree is empty or larger'],
    ['a size that is not safe', { size: 2 ** 53 }, 'the older tree is empty or larger'],
    ['a fraction', { oldSize: 2.5 }, 'the older tree is empty or larger'],
    ['a proof between equal sizes', { size: 3 }, 'the proof is too long'],
    ['two roots of one size', { size: 3, proof: [] }, 'two roots of one size differ'],
    ['a short hash', { proof: [Buffer.alloc(31)] }, 'a hash must be 32 bytes'],
    ['a short old root', { oldRoot: Buffer.alloc(31) }, 'a hash must be 32 bytes'],
    ['no proof', { proof: [] }, 'the proof is too short'],
    ['a proof too short', { proof: claim.proof.slice(0, -1) }, 'the proof is too short'],
    ['a proof too long', { proof: [...claim.proof, Buffer.alloc(32)] }, 'the proof is too long'],
    ['another old root', { oldRoot: Buffer.alloc(32) }, 'the proof leads to another old root'],
    ['another root', { root: Buffer.alloc(32) }, 'the proof leads to another root'],
  ])('names %s', (_name, changed, problem) => {
    expect(consistencyProblem({ ...claim, ...changed })).toBe(problem);
  });
});
