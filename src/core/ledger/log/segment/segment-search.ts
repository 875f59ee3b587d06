/** Finds the matching records of a segment, oldest or newest first. */
import { candidatesIn } from '../../search/candidates.ts';
import { indexKeysFor } from '../../search/record-query.ts';
import type { IndexKey } from '../../search/record-query.ts';
import type { SegmentPart } from './index-parts.ts';
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
 * The matching leaves of a segment. Records that `parts` cover are found through these; later records through the segment's own
 * index if the filter has a key of it, otherwise by a scan. An index only gives candidates; the leaf decides.
 *
 * @param parts of this segment, in order
 */
export function* foundIn(
  segment: Segment,
  filter: RecordFilter,
  order: SearchOrder,
  parts: readonly SegmentPart[] = [],
): Generator<PlacedLeaf> {
  const keys = indexKeysFor(filter);
  const used = keys.length === 0 ? [] : parts;
  const fromSeq = filter.fromSeq ?? 1;
  const from = Math.max(fromSeq, (used.at(-1)?.upto ?? 0) + 1);
  const search = { segment, condition: recordConditionOf(filter), ...order };
  const rest = { ...search, condition: recordConditionOf({ ...filter, fromSeq: from }) };
  const [key] = keysOf(filter);
  const sources = [
    ...used.filter(({ upto }) => upto >= fromSeq).map((part) => leavesOfPart(search, part, keys)),
    key === undefined ? leavesFrom(rest, from) : leavesUnder(rest, key, from),
  ];
  for (const source of inOrder(sources, order)) {
    for (const leaf of source) if (isAskedFor(filter, leaf)) yield leaf;
  }
}

/** The matching leaves among the records that parts of an index cover. */
export function* indexedIn(
  segment: Segment,
  filter: RecordFilter,
  order: SearchOrder,
  parts: readonly SegmentPart[],
): Generator<PlacedLeaf> {
  const search = { segment, condition: recordConditionOf(filter), ...order };
  const keys = indexKeysFor(filter);
  for (const part of inOrder(parts, order)) {
    for (const leaf of leavesOfPart(search, part, keys)) if (isAskedFor(filter, leaf)) yield leaf;
  }
}

function* leavesOfPart(
  { segment, condition, isNewestFirst }: Search,
  { from, upto, file }: SegmentPart,
  keys: readonly (readonly IndexKey[])[],
): Generator<PlacedLeaf> {
  const leafAt = segment.leafAt(condition);
  for (const place of inOrder(candidatesIn(file, keys), { isNewestFirst })) {
    const leaf = from + place > upto ? undefined : leafAt(from + place);
    if (leaf !== undefined) yield leaf;
  }
}

function* leavesUnder(search: Search, key: number, from: number): Generator<PlacedLeaf> {
  // INVARIANT: the extent of the index is read once, so that a record indexed meanwhile is neither missed nor returned twice.
  const all = [...search.segment.index.blocks()];
  const blocks = all.filter(({ upto }) => upto >= from);
  const rest = leavesFrom(search, Math.max(from, (all.at(-1)?.upto ?? 0) + 1));
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
