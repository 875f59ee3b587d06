import { type HashedLog, subtreeHash } from './hashed-log.ts';
import { HASH_BYTES, isSameHash, leftSize, nodeHash } from './merkle.ts';

/**
 * A proof that the tree of the first `size` records extends that of the first `oldSize`: at most 54 hashes, none for equal
 * sizes. Costs one hash per remaining record.
 *
 * @returns `null` if `oldSize` is 0 (nothing to prove), exceeds `size`, or lies in the pruned part
 * @see RFC 6962 section 2.1.2
 */
export function consistencyProof(log: HashedLog, oldSize: number, size: number): readonly Uint8Array[] | null {
  if (oldSize < 1 || oldSize > size || oldSize < log.carried.size) return null;
  const path: Uint8Array[] = [];
  let start = 0;
  let width = size;
  let old = oldSize;
  while (old !== width) {
    const left = leftSize(width);
    if (old <= left) {
      path.unshift(subtreeHash(log, start + left, width - left));
      width = left;
    } else {
      path.unshift(subtreeHash(log, start, left));
      start += left;
      width -= left;
      old -= left;
    }
  }
  // A full old tree is the root that the verifier already has, so it is not sent.
  return start === 0 ? path : [subtreeHash(log, start, width), ...path];
}

/** The claim of a consistency proof. */
export interface ConsistencyClaim {
  readonly oldSize: number;
  readonly oldRoot: Uint8Array;
  readonly size: number;
  readonly root: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

/**
 * Why a consistency proof is invalid; `null` if it is valid. Refuses an empty old tree, which proves nothing. Computes at
 * most twice as many hashes as the size has bits, however long the proof.
 *
 * @see RFC 9162 section 2.1.4.2
 */
export function consistencyProblem({ oldSize, oldRoot, size, root, proof }: ConsistencyClaim): string | null {
  if (!Number.isSafeInteger(oldSize) || !Number.isSafeInteger(size) || oldSize < 1 || oldSize > size) {
    return 'the older tree is empty or larger';
  }
  if (oldSize === size) {
    if (proof.length > 0) return 'the proof is too long';
    return isSameHash(oldRoot, root) ? null : 'two roots of one size differ';
  }
  if (![oldRoot, ...proof].every((hash) => hash.length === HASH_BYTES)) return 'a hash must be 32 bytes';
  let at = oldSize - 1;
  let last = size - 1;
  while (at % 2 === 1) {
    at = (at - 1) / 2;
    last = Math.floor(last / 2);
  }
  // `at` is 0 if the old tree is full: its root is a node of the new tree.
  const [seed, ...rest] = at === 0 ? [oldRoot, ...proof] : proof;
  if (seed === undefined) return 'the proof is too short';
  let oldHash = seed;
  let hash = seed;
  for (const sibling of rest) {
    if (last === 0) return 'the proof is too long';
    if (at % 2 === 1 || at === last) {
      oldHash = nodeHash(sibling, oldHash);
      hash = nodeHash(sibling, hash);
      while (at % 2 === 0 && at !== 0) {
        at /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      hash = nodeHash(hash, sibling);
    }
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  if (last !== 0) return 'the proof is too short';
  if (!isSameHash(oldHash, oldRoot)) return 'the proof leads to another old root';
  return isSameHash(hash, root) ? null : 'the proof leads to another root';
}
