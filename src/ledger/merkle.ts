import { hash } from 'node:crypto';

/** Bytes of a hash of the tree: SHA-256. */
export const HASH_BYTES = 32;

const LEAF_PREFIX = Buffer.of(0x00);
const NODE_PREFIX = Buffer.of(0x01);

/** The root of a tree without leaves: SHA-256 of nothing. */
export const EMPTY_ROOT: Uint8Array = hash('sha256', '', 'buffer');

/** The hash of a leaf: SHA-256 of 0x00 and its bytes. The prefix keeps a leaf from passing for a node. */
export const leafHash = (bytes: Uint8Array): Buffer => hash('sha256', Buffer.concat([LEAF_PREFIX, bytes]), 'buffer');

/** The hash of an inner node: SHA-256 of 0x01 and the hashes of its two children. */
export const nodeHash = (left: Uint8Array, right: Uint8Array): Buffer =>
  hash('sha256', Buffer.concat([NODE_PREFIX, left, right]), 'buffer');

/**
 * The root of the tree whose maximal full subtrees these are, largest first: folded from the right.
 *
 * @see RFC 6962 section 2.1
 */
export const rootOf = (nodes: readonly Uint8Array[]): Uint8Array =>
  nodes.length === 0 ? EMPTY_ROOT : nodes.reduceRight((right, left) => nodeHash(left, right));

/** Whether two hashes are the same bytes. None of them is secret. */
export const isSameHash = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/**
 * Leaves of the left child of a tree of `size` leaves, which must be 2 or more: the largest power of two below it.
 *
 * @see RFC 6962 section 2.1
 */
export function leftSize(size: number): number {
  let left = 1;
  while (left * 2 < size) left *= 2;
  return left;
}
