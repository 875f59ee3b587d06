import { type CompactRange, subtreeSizes } from './compact-range.ts';
import { leftSize, nodeHash } from './merkle.ts';

/** Hashes of a log whose oldest records may be pruned, from which proofs are made. */
export interface HashedLog {
  /** The tree over the pruned records; empty if none are. */
  readonly carried: CompactRange;
  /** The leaf hash at a Merkle index (record number minus 1), from `carried.size` on. */
  readonly leaf: (index: number) => Uint8Array;
}

/**
 * The hash of the subtree over [start, start + size), computed from its leaves: one hash each. A subtree of the pruned part is
 * a carried node.
 *
 * @throws if the subtree lies inside a carried node, which no proof about remaining records needs
 */
export function subtreeHash(log: HashedLog, start: number, size: number): Uint8Array {
  if (start + size <= log.carried.size) return carriedNode(log.carried, start, size);
  if (size === 1) return log.leaf(start);
  const left = leftSize(size);
  return nodeHash(subtreeHash(log, start, left), subtreeHash(log, start + left, size - left));
}

function carriedNode({ size: carriedSize, nodes }: CompactRange, start: number, size: number): Uint8Array {
  let nodeStart = 0;
  for (const [index, nodeSize] of subtreeSizes(carriedSize).entries()) {
    const node = nodes[index];
    if (node !== undefined && nodeStart === start && nodeSize === size) return node;
    nodeStart += nodeSize;
  }
  throw new Error(`the subtree over [${start}, ${start + size}) was pruned`);
}
