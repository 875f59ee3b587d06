import { hash } from 'node:crypto';

/** Bytes of a hash of the tree: SHA-256. */
export const HASH_BYTES = 32;

/** The root of a tree without leaves: SHA-256 of nothing. */
export const EMPTY_ROOT: Uint8Array = hash('sha256', '', 'buffer');

const LEAF_PREFIX = 0x00;
const NODE_PREFIX = 0x01;

/** The hash of a leaf: SHA-256 of 0x00 and its bytes. The prefix keeps a leaf from passing for a node. */
export const leafHash = (bytes: Uint8Array): Buffer => digestOf(LEAF_PREFIX, bytes, NOTHING);

/** The hash of an inner node: SHA-256 of 0x01 and the hashes of its two children. */
export const nodeHash = (left: Uint8Array, right: Uint8Array): Buffer => digestOf(NODE_PREFIX, left, right);

const NOTHING = new Uint8Array();

/** What is hashed is laid out here; what is longer than any leaf that is stored has memory of its own. */
const layout = Buffer.alloc(65_536);

function digestOf(prefix: number, left: Uint8Array, right: Uint8Array): Buffer {
  const length = 1 + left.length + right.length;
  const input = length <= layout.length ? layout : Buffer.alloc(length);
  input[0] = prefix;
  input.set(left, 1);
  input.set(right, 1 + left.length);
  // As text and back: for a digest as bytes the runtime takes memory of its own, which costs more than the hash.
  return Buffer.from(hash('sha256', input.subarray(0, length), 'latin1'), 'latin1');
}

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
