import type { StoredRecord } from '../../ledger/timeline.ts';
import { isStoreFailure } from '../store-failure.ts';
import type { StoreFailure } from '../store-failure.ts';
import type { StoreReader, WaitingRecord } from '../store.ts';
import { readLog } from './log-reader.ts';
import type { LogReader } from './log-reader.ts';

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
  return readLog(folder, (log) => recordsWith(log, { waiting, fileId }, { taskId, limit })) ?? waiting;
}

/** The first records of a task in a log and in what waited in the outbox of a state file before the log was read. */
export const recordsWith = (
  log: LogReader,
  { waiting, fileId }: { readonly waiting: readonly WaitingRecord[]; readonly fileId: string },
  { taskId, limit }: { readonly taskId: string; readonly limit: number },
): readonly StoredRecord[] => {
  const logged = log.recordsOf(taskId, limit);
  const taken = log.takenOf(fileId);
  return [...logged, ...waiting.filter(({ outbox }) => outbox > taken)].slice(0, limit);
};
