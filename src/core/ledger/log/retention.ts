import { statSync } from 'node:fs';
import { base64Of } from '../proof/base64.ts';
import { rootOf } from '../proof/merkle.ts';
import type { PrunedRecord } from '../log-record.ts';
import { isStoreFailure } from '../../runtime/store-failure.ts';
import type { StoreFailure } from '../../runtime/store-failure.ts';
import type { LogSettings } from './log-settings.ts';
import type { SegmentEnds } from './segment/segment-ends.ts';
import { discardSegment, filesOf, segmentsIn } from './segment/segment-files.ts';
import { errorCode } from '../../runtime/system/error-code.ts';

/**
 * The record that prunes the oldest segments that exceed the retention, never the last segment; `null` if there are none. The
 * rest still verifies: each segment starts with the tree over all records before it, which a signed checkpoint covers.
 *
 * @param segments all that are kept, oldest first
 * @param endMsOf when the last record of a segment was written, from signed data: otherwise anybody who can write a file could have it
 * pruned
 */
export function prunedRecord(
  segments: readonly SegmentEnds[],
  { retain, nowMs, endMsOf }: PruneOptions,
): PrunedRecord | StoreFailure | null {
  const sizes = segments.map(({ path }) => bytesOf(path));
  let kept = sizes.reduce((sum, size) => sum + size, 0);
  const gone = { segments: 0, bytes: 0, newest: 0 };
  const rules = new Set<PrunedRecord['rules'][number]>();
  for (const [index, segment] of segments.slice(0, -1).entries()) {
    const endMs = endMsOf(segment);
    if (isStoreFailure(endMs)) return endMs;
    const isOutdated = endMs < nowMs - retain.maxAgeMs;
    const isTooMuch = kept > retain.maxBytes;
    if (!isOutdated && !isTooMuch) break;
    if (isOutdated) rules.add('age');
    if (isTooMuch) rules.add('bytes');
    const size = sizes[index] ?? 0;
    kept -= size;
    gone.segments += 1;
    gone.bytes += size;
    gone.newest = endMs;
  }
  const [first, next] = [segments[0], segments[gone.segments]];
  if (gone.segments === 0 || first === undefined || next === undefined) return null;
  return {
    kind: 'pruned',
    at: nowMs,
    task: null,
    from: first.carried.range.size + 1,
    to: next.carried.range.size,
    root: base64Of(rootOf(next.carried.range.nodes)),
    ...gone,
    rules: [...rules],
    retainMs: retain.maxAgeMs,
    retainBytes: retain.maxBytes,
  };
}

interface PruneOptions {
  readonly retain: LogSettings['retain'];
  readonly nowMs: number;
  readonly endMsOf: (segment: SegmentEnds) => number | StoreFailure;
}

/**
 * Deletes the files of records before `first`, which a signed record pruned. Files that a crash or an error leaves are deleted by
 * the next call: at each checkpoint that finds the segment full, and at each start.
 *
 * @returns the code of the system's error that prevents a deletion; `null` if all are gone
 */
export function discardBefore(folder: string, first: number): string | null {
  try {
    for (const { path, carriedSize } of segmentsIn(folder)) if (carriedSize + 1 < first) discardSegment(path);
    return null;
  } catch (error) {
    return errorCode(error) ?? String(error);
  }
}

/** Bytes of all segments of a folder except one. */
export const sizeOf = (folder: string, but: string): number =>
  segmentsIn(folder).reduce((sum, { path }) => (path === but ? sum : sum + bytesOf(path)), 0);

/** Disk space of a segment. Holes in a file do not count, since anyone could create a file as large as the retention. */
const bytesOf = (path: string): number =>
  filesOf(path).reduce((sum, file) => {
    const stats = statSync(file, { throwIfNoEntry: false });
    return stats === undefined ? sum : sum + Math.min(stats.size, stats.blocks * BLOCK_BYTES);
  }, 0);

/** The unit of `st_blocks` on every file system. */
const BLOCK_BYTES = 512;
