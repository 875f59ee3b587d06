import { indexKeysOf, keyBytes } from '../index-key.ts';
import { recordBytesIn } from '../leaf.ts';
import { DRAWERS, IndexBlock } from './index-block.ts';
import type { Segment } from './segment.ts';
import type { SegmentIndex, StoredBlock } from './segment-index.ts';

/**
 * How the index of a segment is not that of its records; `null` where it is. Each block is made anew from its records and
 * compared byte by byte, so that an entry shows that is missing, is too many, or points elsewhere.
 *
 * @param isFollowed whether another segment goes on from this one, which is then indexed to its end
 */
export const indexProblem = (segment: Segment, { isFollowed }: { readonly isFollowed: boolean }): string | null =>
  segment.atOnce(() => problemOf(segment, isFollowed));

function problemOf(segment: Segment, isFollowed: boolean): string | null {
  const { index } = segment;
  const blocks = index.blocks();
  let own = new IndexBlock(segment.carried.range.size + 1);
  let number = 0;
  for (const { seq, keys, bytes } of segment.keyedLeaves()) {
    // The commit that fills a block has stored it.
    if (own.isFull) return unindexed(own);
    const ownKeys = indexKeysOf(recordBytesIn(bytes));
    if (Buffer.compare(keys, keyBytes(ownKeys)) !== 0) return `record ${seq} has other keys than its own`;
    own.add(ownKeys, bytes.length);
    const stored = blocks[number];
    if (stored?.upto !== seq) continue;
    if (!isSame(own, stored, index)) return `its index is not that of records ${own.from} to ${own.upto}`;
    number += 1;
    own = new IndexBlock(seq + 1);
  }
  if (number !== blocks.length || index.drawers() !== number * DRAWERS) return 'its index has more than its records';
  const isComplete = isFollowed ? own.upto < own.from : !own.isFull;
  return isComplete ? null : unindexed(own);
}

const isSame = (own: IndexBlock, { block }: StoredBlock, index: SegmentIndex): boolean =>
  own.drawers().every((entries, drawer) => Buffer.compare(entries, index.drawer(block, drawer)) === 0);

const unindexed = ({ from, upto }: IndexBlock): string => `its index lacks records ${from} to ${upto}`;
