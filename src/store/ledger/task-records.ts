import type { StoredRecord } from '../../ledger/timeline.ts';
import { isStoreFailure } from '../store-failure.ts';
import type { StoreFailure } from '../store-failure.ts';
import type { StoreReader } from '../store.ts';
import { readLog } from './log-reader.ts';

/**
 * The first records of a task: those of the ledger, then those that wait in the outbox of the state file. A ledger that has
 * not been begun has none.
 */
export function recordsOfTask(
  { folder, store }: { readonly folder: string; readonly store: StoreReader },
  taskId: string,
  limit: number,
): readonly StoredRecord[] | StoreFailure {
  // INVARIANT: the outbox is read first, since a record leaves it only once the ledger has it.
  const fileId = store.fileId();
  const waiting = store.recordsOf(taskId, limit);
  if (isStoreFailure(fileId)) return fileId;
  if (isStoreFailure(waiting)) return waiting;
  const logged = readLog(folder, (log) => ({ records: log.recordsOf(taskId, limit), taken: log.takenOf(fileId) }));
  if (logged === null) return waiting;
  if (isStoreFailure(logged)) return logged;
  const rest = waiting.filter(({ outbox }) => outbox > logged.taken);
  return [...logged.records, ...rest].slice(0, limit);
}
