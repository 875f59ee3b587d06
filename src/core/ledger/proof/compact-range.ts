import { HASH_BYTES, nodeHash } from './merkle.ts';

/**
 * The state of a Merkle tree over its first `size` leaves that is needed to append and to compute the root: at most 53 hashes.
 * Its nodes are the maximal full subtrees that cover [0, size), largest first: one per 1 bit of `size`.
 */
export interface CompactRange {
  /** Number of leaves; a safe integer. */
  readonly size: number;
  readonly nodes: readonly Uint8Array[];
}

/** The range of an empty tree. */
export const emptyRange: CompactRange = Object.freeze({ size: 0, nodes: Object.freeze([]) });

/** Appends a leaf hash. Computes one hash on average. */
export const appended = (range: CompactRange, leaf: Uint8Array): CompactRange => appendedAll(range, [leaf]);

/** Appends leaf hashes in order. */
export function appendedAll({ size, nodes }: CompactRange, leaves: readonly Uint8Array[]): CompactRange {
  const kept = [...nodes];
  for (const [index, leaf] of leaves.entries()) {
    let node = leaf;
    // Each trailing 1 bit of the size is a subtree as large as the new node: they merge, like a carry.
    for (let rest = size + index; rest % 2 === 1; rest = (rest - 1) / 2) node = nodeHash(kept.pop() ?? node, node);
    kept.push(node);
  }
  return { size: size + leaves.length, nodes: kept };
}

/** A copy of the range to keep: all its nodes in one buffer of their own. */
export function keptRange({ size, nodes }: CompactRange): CompactRange {
  return { size, nodes: nodesIn(Buffer.concat(nodes)) };
}

/** The nodes in their concatenation. */
const nodesIn = (bytes: Buffer): readonly Uint8Array[] =>
  Array.from({ length: bytes.length / HASH_BYTES }, (_, index) =>
    bytes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES),
  );

/** Sizes of the maximal full subtrees of [0, size), largest first: the powers of two that sum to `size`. */
export function subtreeSizes(size: number): readonly number[] {
  const sizes: number[] = [];
  let power = 1;
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) sizes.unshift(power);
    power *= 2;
  }
  return sizes;
}

const SIZE_BYTES = 8;

/** Serialises a range: size in 8 bytes, big-endian, then the nodes. */
export function rangeBytes({ size, nodes }: CompactRange): Uint8Array {
  const head = Buffer.alloc(SIZE_BYTES);
  head.writeBigUInt64BE(BigInt(size));
  return Buffer.concat([head, ...nodes]);
}

/** Parses a serialised range; `null` if the length is wrong or the size is not a safe integer. */
export function rangeFrom(bytes: Uint8Array): CompactRange | null {
  const stored = Buffer.from(bytes);
  if (stored.length < SIZE_BYTES) return null;
  const size = Number(stored.readBigUInt64BE());
  if (!Number.isSafeInteger(size)) return null;
  if (stored.length !== SIZE_BYTES + subtreeSizes(size).length * HASH_BYTES) return null;
  return { size, nodes: nodesIn(stored.subarray(SIZE_BYTES)) };
}

/** Whether a range is well-formed: a safe size, and one node of hash length per subtree. */
export const isRange = ({ size, nodes }: CompactRange): boolean =>
  Number.isSafeInteger(size) &&
  size >= 0 &&
  nodes.length === subtreeSizes(size).length &&
  nodes.every((node) => node.length === HASH_BYTES);
