import { recordConditionOf, isAskedFor, keysOf } from './record-filter.ts';
import type { RecordCondition, RecordFilter } from './record-filter.ts';
import { PAGE_LEAVES } from './segment.ts';
import type { PlacedLeaf, Segment } from './segment.ts';
import type { StoredBlock } from './segment-index.ts';

/** In which order leaves are found. */
export interface SearchOrder {
  readonly isNewestFirst: boolean;
}

interface Search extends SearchOrder {
  readonly segment: Segment;
  readonly condition: RecordCondition;
}

/**
 * The leaves of a segment that are asked for: by its index where a filter names what is in it, and those after the index one by
 * one; else all of them one by one. What the index says is a hint: whether a leaf is asked for, the leaf says.
 */
export function* foundIn(segment: Segment, filter: RecordFilter, order: SearchOrder): Generator<PlacedLeaf> {
  const search = { segment, condition: recordConditionOf(filter), ...order };
  const [key] = keysOf(filter);
  for (const leaf of key === undefined ? leavesFrom(search, filter.fromSeq ?? 1) : leavesUnder(search, key)) {
    if (isAskedFor(filter, leaf)) yield leaf;
  }
}

function* leavesUnder(search: Search, key: number): Generator<PlacedLeaf> {
  // INVARIANT: how far the index goes is asked once, so that a record that comes into it meanwhile is neither missed nor met twice.
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
