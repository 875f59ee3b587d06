import { type HashedLog, subtreeHash } from './hashed-log.ts';
import { HASH_BYTES, isSameHash, leftSize, nodeHash } from './merkle.ts';

/**
 * The hashes that show that the tree of the first `size` records extends that of the first `oldSize`: at most 54, none
 * where the sizes are equal. They cost one hash for each record that is left.
 *
 * @returns `null` where `oldSize` is 0 (nothing to be consistent with), larger than `size`, or lies before what was pruned
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
  // A whole old tree is the root that the verifier has: it is not sent.
  return start === 0 ? path : [subtreeHash(log, start, width), ...path];
}

/** What a consistency proof claims: that the tree of `size` leaves extends that of `oldSize`, each with its root. */
export interface ConsistencyClaim {
  readonly oldSize: number;
  readonly oldRoot: Uint8Array;
  readonly size: number;
  readonly root: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

/**
 * What is wrong with a proof that one tree extends another; `null` where it proves it. A tree without leaves has nothing
 * to prove and is refused. At most twice as many hashes are computed as the size has bits, whatever the proof's length.
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
  if (![oldRoot, ...proof].every((hash) => hash.length === HASH_BYTES)) return 'a hash has not 32 bytes';
  let at = oldSize - 1;
  let last = size - 1;
  while (at % 2 === 1) {
    at = (at - 1) / 2;
    last = Math.floor(last / 2);
  }
  // `at` is now 0 where the old tree is full, so that its root is itself a node of the new one.
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
