import { existsSync } from 'node:fs';
import { isStoreFailure, storeFailure } from '../../../runtime/store-failure.ts';
import type { StoreFailure } from '../../../runtime/store-failure.ts';
import { mergeWal, Segment } from './segment.ts';
import { segmentsIn } from './segment-files.ts';

/**
 * Opens a closed segment, passes it to `use` and closes it. Whatever the file contains results in a failure, never an
 * exception; `busy` if it is locked.
 */
export function closedSegment<T>(path: string, use: (segment: Segment) => T): T | StoreFailure {
  const segment = Segment.open(path, 'read');
  if (segment === 'unfinished') return storeFailure('unusable', `ledger segment \`${path}\` is empty`);
  if (isStoreFailure(segment)) return segment;
  try {
    return use(segment);
  } catch (error) {
    return storeFailure('unusable', `ledger segment \`${path}\` is damaged: ${String(error)}`);
  } finally {
    segment.close();
  }
}

/**
 * Merges the write-ahead logs that readers left beside closed segments. Throws the system's error.
 *
 * @param current path of the segment that is written
 */
export function mergeClosed(folder: string, current: string): void {
  for (const { path } of segmentsIn(folder)) if (path !== current && existsSync(`${path}-wal`)) mergeWal(path);
}
