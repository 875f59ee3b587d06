import { statSync } from 'node:fs';
import type { LogSettings } from './log-settings.ts';
import { Segment } from './segment.ts';
import { discardSegment, filesOf, segmentsIn } from './segment-files.ts';
import type { SegmentFile } from './segment-files.ts';

/**
 * Gives up the oldest segments that need not be kept, never the one being written. What is left still proves itself: each
 * segment begins with the tree of all records before it, which a signed checkpoint covers.
 *
 * @returns how many records were given up by now, of the whole log
 */
export function pruneSegments(folder: string, retain: LogSettings['retain'], nowMs: number): number {
  const segments = [...segmentsIn(folder)];
  let bytes = segments.reduce((sum, { path }) => sum + bytesOf(path), 0);
  for (;;) {
    const [oldest, next] = segments;
    if (oldest === undefined) return 0;
    if (next === undefined || !(bytes > retain.maxBytes || isOutdated(next, nowMs - retain.maxAgeMs))) {
      return oldest.carriedSize;
    }
    bytes -= bytesOf(oldest.path);
    discardSegment(oldest.path);
    segments.shift();
  }
}

/** Bytes of all segments of a folder but one. */
export const sizeOf = (folder: string, but: string): number =>
  segmentsIn(folder).reduce((sum, { path }) => (path === but ? sum : sum + bytesOf(path)), 0);

/** The next segment was begun after the last record of this one. */
function isOutdated(next: SegmentFile, limitMs: number): boolean {
  const segment = Segment.open(next.path, 'read');
  if (!(segment instanceof Segment)) return false;
  const { createdMs } = segment;
  segment.close();
  return createdMs < limitMs;
}

const bytesOf = (path: string): number =>
  filesOf(path).reduce((sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0), 0);
