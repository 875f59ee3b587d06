import { eventForParts } from '../../task/task.ts';
import type { Task, TaskConflict, TaskEvent } from '../../task/task.ts';
import type { TaskEnd } from '../store.ts';
import { familyAfter, taskAmended } from '../task-event.ts';
import type { Amendment, ChangedTask, Deed } from '../task-event.ts';
import type { Connection } from './connection.ts';
import { insertRecord } from './outbox-table.ts';
import { openPartsOf, taskAt, updateTaskRow } from './task-table.ts';

/**
 * Within a transaction: applies the event to the task and its parts, each with its record. Writes nothing where the event has already
 * happened or cannot happen.
 */
export function changeTask(connection: Connection, task: Task, event: TaskEvent, by: string): TaskEnd | TaskConflict {
  const { issuer, parentId } = task;
  const parent =
    event.kind === 'resume' && parentId !== null ? taskAt(connection, { issuer, id: parentId }) : undefined;
  const parts = eventForParts[event.kind] === null ? [] : openPartsOf(connection, task);
  const changes = familyAfter({ task, parent, parts }, event, deedOf(connection, by));
  if ('problem' in changes) return changes;
  for (const change of changes) writeChange(connection, change);
  return { task: changes[0]?.task ?? task, changed: changes.length > 0 };
}

/** Within a transaction: writes new facts about an open task, with their record. Writes nothing where they are unchanged. */
export function amendTask(
  connection: Connection,
  task: Task,
  { by, ...amendment }: Amendment & { readonly by: string },
): Task | TaskConflict {
  const change = taskAmended(task, amendment, deedOf(connection, by));
  if (change === null) return task;
  if ('problem' in change) return change;
  writeChange(connection, change);
  return change.task;
}

const deedOf = (connection: Connection, by: string): Deed => ({
  by,
  nowMs: connection.nowMs(),
  floorMs: connection.floorMs(),
});

function writeChange(connection: Connection, { task, record }: ChangedTask): void {
  updateTaskRow(connection, task);
  insertRecord(connection, record);
}
