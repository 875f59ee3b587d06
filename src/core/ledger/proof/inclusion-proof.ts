import { type HashedLog, subtreeHash } from './hashed-log.ts';
import { HASH_BYTES, isSameHash, leftSize, nodeHash } from './merkle.ts';

/**
 * A proof that the leaf at `index` is in the tree of the first `size` records, from its sibling upwards: at most 53 hashes.
 * Costs one hash per remaining record.
 *
 * @returns `null` if the record was pruned or is not among the first `size`
 * @see RFC 6962 section 2.1.1
 */
export function inclusionProof(log: HashedLog, index: number, size: number): readonly Uint8Array[] | null {
  if (index < log.carried.size || index >= size) return null;
  const path: Uint8Array[] = [];
  let start = 0;
  for (let width = size; width > 1;) {
    const left = leftSize(width);
    if (index < start + left) {
      path.unshift(subtreeHash(log, start + left, width - left));
      width = left;
    } else {
      path.unshift(subtreeHash(log, start, left));
      start += left;
      width -= left;
    }
  }
  return path;
}

/** The claim of an inclusion proof. */
export interface InclusionClaim {
  readonly index: number;
  readonly size: number;
  readonly root: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

/**
 * Why an inclusion proof is invalid; `null` if it is valid. Computes at most as many hashes as the size has bits, however
 * long the proof.
 *
 * @see RFC 9162 section 2.1.3.2
 */
export function inclusionProblem(leaf: Uint8Array, { index, size, root, proof }: InclusionClaim): string | null {
  if (!Number.isSafeInteger(size) || !Number.isSafeInteger(index) || index < 0 || index >= size) {
    return 'the index is not in the tree';
  }
  if (![leaf, ...proof].every((hash) => hash.length === HASH_BYTES)) return 'a hash must be 32 bytes';
  let at = index;
  let last = size - 1;
  let hash = leaf;
  for (const sibling of proof) {
    if (last === 0) return 'the proof is too long';
    if (at % 2 === 1 || at === last) {
      hash = nodeHash(sibling, hash);
      // The last node of its level, if a left child, has no sibling there and moves up unchanged.
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
  return isSameHash(hash, root) ? null : 'the proof leads to another root';
}
