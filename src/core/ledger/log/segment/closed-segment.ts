import { isStoreFailure, storeFailure } from '../../../runtime/store-failure.ts';
import type { StoreFailure } from '../../../runtime/store-failure.ts';
import { Segment } from './segment.ts';

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
