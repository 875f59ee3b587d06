/** The Merkle tree of RFC 6962: hashes of leaves and nodes, roots. */
import { hash } from 'node:crypto';

/** Bytes of a tree hash: SHA-256. */
export const HASH_BYTES = 32;

/** The root of an empty tree: SHA-256 of nothing. */
export const EMPTY_ROOT: Uint8Array = hash('sha256', '', 'buffer');

const LEAF_PREFIX = 0x00;
const NODE_PREFIX = 0x01;

/** The hash of a leaf: SHA-256 of 0x00 and its bytes. The prefix prevents confusion with nodes. */
export const leafHash = (bytes: Uint8Array): Buffer => digestOf(LEAF_PREFIX, bytes, NOTHING);

/** The hash of an inner node: SHA-256 of 0x01 and both child hashes. */
export const nodeHash = (left: Uint8Array, right: Uint8Array): Buffer => digestOf(NODE_PREFIX, left, right);

const NOTHING = new Uint8Array();

/** Scratch space for hash inputs; a larger input than any stored leaf gets its own. */
const layout = Buffer.alloc(65_536);

function digestOf(prefix: number, left: Uint8Array, right: Uint8Array): Buffer {
  const length = 1 + left.length + right.length;
  const input = length <= layout.length ? layout : Buffer.alloc(length);
  input[0] = prefix;
  input.set(left, 1);
  input.set(right, 1 + left.length);
  // Via text: for a binary digest the runtime allocates memory that costs more than the hash.
  return Buffer.from(hash('sha256', input.subarray(0, length), 'latin1'), 'latin1');
}

/**
 * The root of the tree with these maximal full subtrees, largest first: folded from the right.
 *
 * @see RFC 6962 section 2.1
 */
export const rootOf = (nodes: readonly Uint8Array[]): Uint8Array =>
  nodes.length === 0 ? EMPTY_ROOT : nodes.reduceRight((right, left) => nodeHash(left, right));

/** Compares two hashes. Not constant-time: hashes are not secret. */
export const isSameHash = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/**
 * Size of the left child of a tree of `size` >= 2 leaves: the largest power of two below it.
 *
 * @see RFC 6962 section 2.1
 */
export function leftSize(size: number): number {
  let left = 1;
  while (left * 2 < size) left *= 2;
  return left;
}
