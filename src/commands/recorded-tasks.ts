import { LRUCache } from 'lru-cache';
import { timelineFrom } from '../ledger/timeline.ts';
import type { StoredRecord, TimelineEntry } from '../ledger/timeline.ts';
import { recordBytesIn } from '../ledger/leaf.ts';
import type { LogReader } from '../ledger/log/log-reader.ts';
import { recordsWith } from '../state/task-records.ts';
import { isStoreFailure } from '../sqlite/store-failure.ts';
import type { StoreReader } from '../state/store.ts';
import type { RecordedTask } from '../policy-tools/compare/recorded-task.ts';

/** Records of a task that are looked at; of more, what was known when is in doubt. */
const MAX_RECORDS = 10_000;
/** Tasks that are kept, since records that stand side by side are often of one. */
const MAX_TASKS = 32;

/** Where tasks and their records are; without a store a task is what its own records say. */
export interface RecordedIn {
  readonly log: LogReader;
  readonly store: StoreReader | null;
}

/**
 * Finds the tasks of recorded uses, each with its records. The store is read before the log: what leaves the one is in the
 * other. Throws the system's error, and SQLite's.
 */
export function recordedTasks({ log, store }: RecordedIn): (taskId: string | null) => RecordedTask | null {
  const tasks = new LRUCache<string, RecordedTask>({ max: MAX_TASKS });
  let handingOn: ReadonlySet<string> | null = null;
  const hasParts = (taskId: string): boolean => {
    handingOn ??= tasksWithParts(log);
    return handingOn.has(taskId);
  };
  return (taskId) => {
    if (taskId === null) return null;
    const known = tasks.get(taskId);
    if (known !== undefined) return known;
    const found = { ...taskFrom(taskId, { log, store }), hasParts: () => hasParts(taskId) };
    tasks.set(taskId, found);
    return found;
  };
}

function taskFrom(taskId: string, { log, store }: RecordedIn): Omit<RecordedTask, 'hasParts'> {
  const stored = store?.tasks({ id: taskId, limit: 1 }) ?? [];
  const fileId = store?.fileId() ?? '';
  const waiting = store?.recordsOf(taskId, MAX_RECORDS) ?? [];
  const isUnread = isStoreFailure(stored) || isStoreFailure(fileId) || isStoreFailure(waiting);
  const outbox = isUnread ? { waiting: [], fileId: '' } : { waiting, fileId };
  const records = recordsWith(log, outbox, { taskId, limit: MAX_RECORDS });
  const { entries, isWhole } = readable(records);
  return {
    stored: isStoreFailure(stored) ? undefined : stored[0],
    records: entries,
    isCut: isUnread || !isWhole || records.length === MAX_RECORDS,
  };
}

/** The records that are still what was written. */
export function readable(records: readonly StoredRecord[]): {
  readonly entries: readonly TimelineEntry[];
  readonly isWhole: boolean;
} {
  const entries = records.flatMap((record) => {
    try {
      return timelineFrom([record]);
    } catch {
      return [];
    }
  });
  return { entries, isWhole: entries.length === records.length };
}

/** Ids of the tasks of which a part was handed on; reads every intent of the log. */
function tasksWithParts(log: LogReader): ReadonlySet<string> {
  const parents = new Set<string>();
  for (const { seq, bytes } of log.found({ kind: 'intent' }, { isNewestFirst: false })) {
    for (const intent of readable([{ seq, bytes: recordBytesIn(bytes) }]).entries) {
      if (intent.kind === 'intent' && intent.parent !== null) parents.add(intent.parent);
    }
  }
  return parents;
}
