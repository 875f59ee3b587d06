import { type CompactRange, subtreeSizes } from './compact-range.ts';
import { leftSize, nodeHash } from './merkle.ts';

/** The hashes of a log of which the oldest records may be gone: what proofs are made from. */
export interface HashedLog {
  /** What is left of the records that are gone; empty for a log that has them all. */
  readonly carried: CompactRange;
  /** The leaf hash at a Merkle index (record number less one) from `carried.size` on, as far as a proof is asked for. */
  readonly leaf: (index: number) => Uint8Array;
}

/**
 * The hash of the subtree over [start, start + size), computed from the leaves: one hash each. What lies wholly in the
 * part that is gone is a node carried from there.
 *
 * @throws where the subtree is inside a carried node: no proof about a record or a size that is left asks for one
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
