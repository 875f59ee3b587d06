import { rmSync } from 'node:fs';
import { MAX_PART_RECORDS } from '../search/index-entries.ts';
import type { StoreFailure } from '../../runtime/store-failure.ts';
import { readLog } from './log-reader.ts';
import type { LogReader } from './log-reader.ts';
import { discardParts, openIndexParts, partBytes, partFilesOf, writePart } from './segment/index-parts.ts';
import type { Segment } from './segment/segment.ts';

/** What indexing a ledger did. */
export interface IndexedLedger {
  /** Parts that exist now, and how many of them this call made. */
  readonly parts: number;
  readonly made: number;
  /** Records in parts, and records in none. */
  readonly indexed: number;
  readonly left: number;
  /** Deleted files: parts of pruned segments, old temporary files, and files that are not parts of these records. */
  readonly discarded: number;
}

/** Options of `indexLedger`. */
export interface IndexingOptions {
  readonly nowMs: number;
  /** Of temporary files: 1 to 16 hexadecimal digits, unique within the folder. */
  readonly suffix: string;
  /** Records per part. Default and maximum 65,536. */
  readonly partRecords?: number;
  /** Called with each record that is read. */
  readonly onRecord?: () => void;
  /** Most parts to make; the rest is left for the next call. Default: no limit. */
  readonly maxParts?: number;
}

/**
 * Makes the missing parts of the index of a ledger, beside the process that writes it: all parts of closed segments, and of the
 * newest segment as many full parts as its last checkpoint covers. Searches read the other records one by one. Deletes parts of
 * pruned segments.
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
