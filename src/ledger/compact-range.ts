import { HASH_BYTES, nodeHash } from './merkle.ts';

/**
 * All that is needed of the first `size` leaves of a tree to append more and to know its root: at most 53 hashes. The
 * nodes are those of the maximal full subtrees that cover [0, size), largest first: one for each 1 bit of `size`.
 */
export interface CompactRange {
  /** Leaves covered; a safe integer. */
  readonly size: number;
  readonly nodes: readonly Uint8Array[];
}

/** The range of a tree without leaves. */
export const emptyRange: CompactRange = Object.freeze({ size: 0, nodes: Object.freeze([]) });

/** The range with one more leaf, given by its hash. On average one hash is computed. */
export function appended({ size, nodes }: CompactRange, leaf: Uint8Array): CompactRange {
  const kept = [...nodes];
  let node = leaf;
  // Each low 1 bit of `size` is a full subtree as large as the one that grew: they merge, as a carry does.
  for (let rest = size; rest % 2 === 1; rest = (rest - 1) / 2) node = nodeHash(kept.pop() ?? node, node);
  kept.push(node);
  return { size: size + 1, nodes: kept };
}

/** Sizes of the maximal full subtrees that cover [0, size), largest first: the powers of two `size` is the sum of. */
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

/** A range as it is stored: its size in 8 bytes, big-endian, then its nodes. */
export function rangeBytes({ size, nodes }: CompactRange): Uint8Array {
  const head = Buffer.alloc(SIZE_BYTES);
  head.writeBigUInt64BE(BigInt(size));
  return Buffer.concat([head, ...nodes]);
}

/** The range that `rangeBytes` stored; `null` where the bytes are not one: wrong length, or a size that is not safe. */
export function rangeFrom(bytes: Uint8Array): CompactRange | null {
  const stored = Buffer.from(bytes);
  if (stored.length < SIZE_BYTES) return null;
  const size = Number(stored.readBigUInt64BE());
  if (!Number.isSafeInteger(size)) return null;
  const nodes = subtreeSizes(size).map((_, index) => {
    const start = SIZE_BYTES + index * HASH_BYTES;
    return stored.subarray(start, start + HASH_BYTES);
  });
  return stored.length === SIZE_BYTES + nodes.length * HASH_BYTES ? { size, nodes } : null;
}

/** Whether a range is well-formed: a safe size, and the node of each of its subtrees with the bytes of a hash. */
export const isRange = ({ size, nodes }: CompactRange): boolean =>
  Number.isSafeInteger(size) &&
  size >= 0 &&
  nodes.length === subtreeSizes(size).length &&
  nodes.every((node) => node.length === HASH_BYTES);
