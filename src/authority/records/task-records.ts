import type { StoredRecord } from '../../core/ledger/timeline.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../core/runtime/store-failure.ts';
import type { StoreReader, WaitingRecord } from '../../core/state/store-reader.ts';
import { readLog } from '../../core/ledger/log/log-reader.ts';
import { recordBytesIn } from '../../core/ledger/proof/leaf.ts';
import type { ReceivedLog } from './received-logs.ts';
import { foundInReceived } from './received-search.ts';
import type { LogReader } from '../../core/ledger/log/log-reader.ts';

/**
 * The first records of a task: those of the ledgers and of received logs, then those that wait in the outbox of the state file. A ledger that
 * does not exist yet has none. Records of several ledgers are ordered by time. A record in two ledgers, because a process took the outbox
 * over from another, occurs once.
 *
 * @param from.folders of the ledgers of all processes that write to the state file; without a state file, `store` is `null`
 * @param from.received logs of sidecars; default none
 */
export function recordsOfTask(
  {
    folders,
    store,
    received = [],
  }: {
    readonly folders: readonly string[];
    readonly store: Pick<StoreReader, 'fileId' | 'recordsOf'> | null;
    readonly received?: Iterable<ReceivedLog>;
  },
  taskId: string,
  limit: number,
): readonly StoredRecord[] | StoreFailure {
  // INVARIANT: read the outbox first, since a record leaves it only once a ledger has it.
  const fileId = store?.fileId() ?? '';
  const stored = store?.recordsOf(taskId, limit) ?? [];
  if (isStoreFailure(fileId)) return fileId;
  if (isStoreFailure(stored)) return stored;
  let waiting = stored;
  const logged: (readonly StoredRecord[])[] = [];
  for (const folder of folders) {
    const found = readLog(folder, (log) => ({ records: log.recordsOf(taskId, limit), taken: log.takenOf(fileId) }));
    if (found === null) continue;
    if (isStoreFailure(found)) return found;
    logged.push(found.records);
    waiting = waiting.filter(({ outbox }) => outbox > found.taken);
  }
  const found = foundInReceived(received, { task: taskId }, { limit, isNewestFirst: false });
  if (found.length > 0) logged.push(found.map(({ seq, bytes }) => ({ seq, bytes: recordBytesIn(bytes) })));
  return [...(logged.length > 1 ? merged(logged) : logged.flat()), ...waiting].slice(0, limit);
}

/** Merges the records of several ledgers. */
function merged(logs: readonly (readonly StoredRecord[])[]): readonly StoredRecord[] {
  const known = new Map<string, { readonly record: StoredRecord; readonly at: number }>();
  for (const record of logs.flat()) {
    const text = Buffer.from(record.bytes).toString('utf8');
    if (!known.has(text)) known.set(text, { record, at: instantOf(text) });
  }
  return [...known.values()].toSorted((a, b) => a.at - b.at).map(({ record }) => record);
}

/** Time of a record in milliseconds since the Unix epoch; 0 if it cannot be read. */
function instantOf(text: string): number {
  try {
    return Number((JSON.parse(text) as { readonly at?: unknown }).at) || 0;
  } catch {
    return 0;
  }
}

/** The first records of a task in a log and in an outbox that was read before the log. */
export const recordsWith = (
  log: LogReader,
  { waiting, fileId }: { readonly waiting: readonly WaitingRecord[]; readonly fileId: string },
  { taskId, limit }: { readonly taskId: string; readonly limit: number },
): readonly StoredRecord[] => {
  const logged = log.recordsOf(taskId, limit);
  const taken = log.takenOf(fileId);
  return [...logged, ...waiting.filter(({ outbox }) => outbox > taken)].slice(0, limit);
};
