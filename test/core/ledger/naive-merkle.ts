import { createHash } from 'node:crypto';

/** RFC 6962 section 2.1 word for word, over leaf hashes: the reference for the product. */

const sha256 = (...parts: readonly Uint8Array[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest();

export const naiveLeafHash = (bytes: Uint8Array): Buffer => sha256(Buffer.of(0), bytes);

/** The largest power of two smaller than `n`. */
const k = (n: number): number => 2 ** Math.floor(Math.log2(n - 1));

/** MTH. */
export function naiveRoot(leaves: readonly Uint8Array[]): Uint8Array {
  const [only] = leaves;
  if (only === undefined) return sha256();
  if (leaves.length === 1) return only;
  const left = k(leaves.length);
  return sha256(Buffer.of(1), naiveRoot(leaves.slice(0, left)), naiveRoot(leaves.slice(left)));
}

/** PATH. */
export function naivePath(index: number, leaves: readonly Uint8Array[]): Uint8Array[] {
  if (leaves.length === 1) return [];
  const left = k(leaves.length);
  return index < left
    ? [...naivePath(index, leaves.slice(0, left)), naiveRoot(leaves.slice(left))]
    : [...naivePath(index - left, leaves.slice(left)), naiveRoot(leaves.slice(0, left))];
}

/** SUBPROOF; PROOF is it with `isWhole` true. */
export function naiveConsistency(old: number, leaves: readonly Uint8Array[], isWhole = true): Uint8Array[] {
  if (old === leaves.length) return isWhole ? [] : [naiveRoot(leaves)];
  const left = k(leaves.length);
  return old <= left
    ? [...naiveConsistency(old, leaves.slice(0, left), isWhole), naiveRoot(leaves.slice(left))]
    : [...naiveConsistency(old - left, leaves.slice(left), false), naiveRoot(leaves.slice(0, left))];
}

/** `count` different leaf hashes. */
export const someLeaves = (count: number): Buffer[] =>
  Array.from({ length: count }, (_, index) => naiveLeafHash(Buffer.from(`record ${index + 1}`)));
