/** Finds records in segments, in the order that is asked for. */
import { recordConditionOf, isAskedFor, keysOf } from './record-filter.ts';
import type { RecordCondition, RecordFilter } from './record-filter.ts';
import { PAGE_LEAVES } from './segment.ts';
import type { PlacedLeaf, Segment } from './segment.ts';
import type { StoredBlock } from './segment-index.ts';

/** The order of results. */
export interface SearchOrder {
  readonly isNewestFirst: boolean;
}

interface Search extends SearchOrder {
  readonly segment: Segment;
  readonly condition: RecordCondition;
}

/**
 * The matching leaves of a segment. If the filter names an indexed value: through the index, then a scan of the unindexed rest; otherwise
 * a scan of all leaves. The index only gives candidates; the leaf decides.
 */
export function* foundIn(segment: Segment, filter: RecordFilter, order: SearchOrder): Generator<PlacedLeaf> {
  const search = { segment, condition: recordConditionOf(filter), ...order };
  const [key] = keysOf(filter);
  for (const leaf of key === undefined ? leavesFrom(search, filter.fromSeq ?? 1) : leavesUnder(search, key)) {
    if (isAskedFor(filter, leaf)) yield leaf;
  }
}

function* leavesUnder(search: Search, key: number): Generator<PlacedLeaf> {
  // INVARIANT: the extent of the index is read once, so that a record indexed meanwhile is neither missed nor returned twice.
  const blocks = [...search.segment.index.blocks()];
  const rest = leavesFrom(search, (blocks.at(-1)?.upto ?? 0) + 1);
  const parts = [...blocks.map((block) => leavesOf(search, block, key)), rest];
  for (const part of inOrder(parts, search)) yield* part;
}

function* leavesOf(search: Search, block: StoredBlock, key: number): Generator<PlacedLeaf> {
  const leafAt = search.segment.leafAt(search.condition);
  for (const seq of inOrder(search.segment.index.seqs(block, key), search)) {
    const leaf = leafAt(seq);
    if (leaf !== undefined) yield leaf;
  }
}

/** The leaves from a number on, read a page at a time. */
function* leavesFrom({ segment, condition, isNewestFirst }: Search, from: number): Generator<PlacedLeaf> {
  let left = { from, upto: Number.MAX_SAFE_INTEGER };
  for (;;) {
    const page = segment.page({ condition, ...left, isNewestFirst });
    yield* page;
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE_LEAVES) return;
    left = isNewestFirst ? { from, upto: last.seq - 1 } : { from: last.seq + 1, upto: left.upto };
  }
}

const inOrder = <T>(items: readonly T[], { isNewestFirst }: SearchOrder): readonly T[] =>
  isNewestFirst ? items.toReversed() : items;
