/** The tasks of which all records are asked for. */
import type { SearchedReceived } from '../../authority/records/received-records.ts';
import type { LogReader } from '../../core/ledger/log/log-reader.ts';
import type { RecordFilter } from '../../core/ledger/log/segment/record-filter.ts';
import { recordMembersIn } from '../../core/ledger/search/index-builder.ts';
import { taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';

/** Where records are. */
export interface RecordPlaces {
  readonly log: LogReader;
  readonly received: SearchedReceived;
}

/** Most tasks of which all records are asked for. */
export const MAX_TASKS = 1_000;

/** The tasks that matching records are of, at most `MAX_TASKS`; a refusal if there are more. */
export function tasksOf(places: RecordPlaces, filter: RecordFilter): ReadonlySet<string> | CommandRefusal {
  const tasks = new Set<string>();
  for (const { bytes } of allOf(places, filter)) {
    const task = recordMembersIn(bytes)?.['task'];
    if (typeof task !== 'string') continue;
    tasks.add(task);
    if (tasks.size > MAX_TASKS) return tooMany;
  }
  return tasks;
}

/** A task, its parts, their parts and so on: those that intents in the records declare. */
export function withParts(places: RecordPlaces, task: string): ReadonlySet<string> | CommandRefusal {
  const tasks = new Set([task]);
  // The iteration of a set includes what is added meanwhile.
  for (const parent of tasks) {
    for (const { bytes } of allOf(places, { parent, kind: 'intent' })) {
      const part = recordMembersIn(bytes)?.['task'];
      if (typeof part === 'string') tasks.add(part);
      if (tasks.size > MAX_TASKS) return tooMany;
    }
  }
  return tasks;
}

const tooMany = taskRefusal(`the records are of more than ${MAX_TASKS} tasks: ask for fewer, such as by --since`);

function* allOf({ log, received }: RecordPlaces, filter: RecordFilter): Generator<{ readonly bytes: Uint8Array }> {
  yield* log.found(filter, { isNewestFirst: false });
  yield* received.matching(filter);
}
