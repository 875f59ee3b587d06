import { indexKeysOf, keyBytes } from '../../index-key.ts';
import { recordBytesIn } from '../../proof/leaf.ts';
import { DRAWERS, IndexBlock } from './index-block.ts';
import type { Segment } from './segment.ts';
import type { SegmentIndex, StoredBlock } from './segment-index.ts';

/**
 * How the index of a segment differs from its records; `null` if it does not. Rebuilds each block and compares bytes, so
 * that missing, extra and wrong entries are found.
 *
 * @param isFollowed whether another segment follows, in which case this segment is indexed completely
 */
export const indexProblem = (segment: Segment, { isFollowed }: { readonly isFollowed: boolean }): string | null =>
  segment.atOnce(() => ownIndexProblem(segment, isFollowed));

function ownIndexProblem(segment: Segment, isFollowed: boolean): string | null {
  const { index } = segment;
  const blocks = index.blocks();
  let own = new IndexBlock(segment.carried.range.size + 1);
  let number = 0;
  for (const { seq, keys, bytes } of segment.keyedLeaves()) {
    // The commit that fills a block also stores it.
    if (own.isFull) return unindexed(own);
    const ownKeys = indexKeysOf(recordBytesIn(bytes));
    if (Buffer.compare(keys, keyBytes(ownKeys)) !== 0) return `the keys of record ${seq} do not match it`;
    own.add(ownKeys, bytes.length);
    const stored = blocks[number];
    if (stored?.upto !== seq) continue;
    if (!isSame(own, stored, index)) return `its index does not match records ${own.from} to ${own.upto}`;
    number += 1;
    own = new IndexBlock(seq + 1);
  }
  if (number !== blocks.length || index.drawers() !== number * DRAWERS)
    return 'its index has entries beyond its records';
  const isComplete = isFollowed ? own.upto < own.from : !own.isFull;
  return isComplete ? null : unindexed(own);
}

const isSame = (own: IndexBlock, { block }: StoredBlock, index: SegmentIndex): boolean =>
  own.drawers().every((entries, drawer) => Buffer.compare(entries, index.drawer(block, drawer)) === 0);

const unindexed = ({ from, upto }: IndexBlock): string => `its index lacks records ${from} to ${upto}`;
