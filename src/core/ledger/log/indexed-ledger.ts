import { rmSync } from 'node:fs';
import { MAX_PART_RECORDS } from '../search/index-entries.ts';
import type { StoreFailure } from '../../runtime/store-failure.ts';
import { readLog } from './log-reader.ts';
import type { LogReader } from './log-reader.ts';
import { discardParts, openIndexParts, partBytes, partFilesOf, writePart } from './segment/index-parts.ts';
import type { Segment } from './segment/segment.ts';

/** What indexing a ledger did. */
export interface IndexedLedger {
  /** Parts that are there now, and those of them that were made. */
  readonly parts: number;
  readonly made: number;
  /** Records that are in parts, and records of the ledger after them or between them. */
  readonly indexed: number;
  readonly left: number;
  /** Deleted files: of pruned segments, and what was not an index of these records. */
  readonly discarded: number;
}

/** Options of `indexLedger`. */
export interface IndexingOptions {
  readonly nowMs: number;
  /** Of temporary files; unique within the folder. */
  readonly suffix: string;
  /** Records of a part. Default and most 65,536. */
  readonly partRecords?: number;
  /** Called with each record that is read. */
  readonly onRecord?: () => void;
  /** Parts to make at most; the rest is left for the next call. Default all. */
  readonly maxParts?: number;
}

/**
 * Makes the parts of the index of a ledger that are missing, beside the process that writes it: of closed segments whole; of the newest as many full
 * parts as its last checkpoint covers. What is left is found by reading it. Parts of deleted segments are deleted.
 *
 * @returns `null` if the folder contains no ledger. Throws the system's error
 */
export const indexLedger = (folder: string, options: IndexingOptions): IndexedLedger | StoreFailure | null =>
  readLog(folder, (log) => {
    const { segments } = log;
    const done = { parts: 0, made: 0, indexed: 0, discarded: discardParts(folder, segments, options.nowMs) };
    for (const [index, segment] of segments.entries()) {
      const isFollowed = index < segments.length - 1;
      const maxParts = (options.maxParts ?? Number.POSITIVE_INFINITY) - done.made;
      const of = indexSegment(segment, { ...options, isFollowed, maxParts });
      done.parts += of.parts;
      done.made += of.made;
      done.indexed += of.indexed;
      done.discarded += of.discarded;
    }
    return { ...done, left: recordsOf(log) - done.indexed };
  });

const recordsOf = (log: LogReader): number => log.size - log.carried.range.size;

function indexSegment(
  segment: Segment,
  { isFollowed, maxParts, partRecords = MAX_PART_RECORDS, suffix, onRecord }: SegmentIndexing,
): Omit<IndexedLedger, 'left'> {
  const { size } = segment.carried.range;
  const { parts } = openIndexParts(segment);
  for (const { file } of parts) file.close();
  const known = new Set(parts.map(({ file }) => file.path));
  const wrong = partFilesOf(segment).filter((path) => !known.has(path));
  for (const path of wrong) rmSync(path, { force: true });
  const end = isFollowed ? segment.state().range.size : (segment.checkpoints.last()?.range.size ?? size);
  let [made, upto] = [0, parts.at(-1)?.upto ?? size];
  while (made < maxParts && (isFollowed ? upto < end : upto + partRecords <= end)) {
    const from = upto + 1;
    const bytes = partBytes(segment, { from, upto: Math.min(end, upto + partRecords), onRecord });
    if (bytes === null) break;
    writePart(segment, from, { bytes, suffix });
    upto = Math.min(end, upto + partRecords);
    made += 1;
  }
  return { parts: parts.length + made, made, indexed: upto - size, discarded: wrong.length };
}

interface SegmentIndexing extends IndexingOptions {
  readonly isFollowed: boolean;
  readonly maxParts: number;
}
