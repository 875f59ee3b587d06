import { LRUCache } from 'lru-cache';
import { timelineFrom } from '../../core/ledger/timeline.ts';
import type { StoredRecord, TimelineEntry } from '../../core/ledger/timeline.ts';
import { recordBytesIn } from '../../core/ledger/proof/leaf.ts';
import type { LogReader } from '../../core/ledger/log/log-reader.ts';
import { recordsWith } from '../../authority/records/task-records.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import type { StoreReader } from '../../core/state/store-reader.ts';
import type { RecordedTask } from '../../tools/policy/compare/recorded-task.ts';

/** Most records read of a task; with more, what was known when is uncertain. */
const MAX_RECORDS = 10_000;
/** Most tasks cached, since neighbouring records often belong to the same task. */
const MAX_TASKS = 32;

/** The sources of tasks and records; without a store a task is reconstructed from its records. */
export interface RecordedIn {
  readonly log: LogReader;
  readonly store: StoreReader | null;
}

/**
 * Finds the tasks of recorded uses with their records. Reads the store before the log, so that what leaves the store is found
 * in the log. Throws errors of the system and SQLite.
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

/** The records that are still intact. */
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

/** Ids of tasks with sub-tasks; reads every intent of the log. */
function tasksWithParts(log: LogReader): ReadonlySet<string> {
  const parents = new Set<string>();
  for (const { seq, bytes } of log.found({ kind: 'intent' }, { isNewestFirst: false })) {
    for (const intent of readable([{ seq, bytes: recordBytesIn(bytes) }]).entries) {
      if (intent.kind === 'intent' && intent.parent !== null) parents.add(intent.parent);
    }
  }
  return parents;
}
