import { eventForParts, expiryOf } from '../../task/task.ts';
import type { Task, TaskConflict, TaskEvent } from '../../task/task.ts';
import { noteStops } from './note-stops.ts';
import { addRecord } from './state-rows.ts';
import type { StateRows } from './state-rows.ts';
import type { TaskEnd } from '../store.ts';
import { familyAfter, taskAmended } from './task-event.ts';
import type { Amendment, ChangedTask, Deed } from './task-event.ts';

/**
 * Within a transaction: applies the event to the task and its parts, each with its record. Writes nothing if the event has already
 * happened or cannot happen, except the expiry of a task that is past its time (`refused`).
 */
export function changeTask(rows: StateRows, task: Task, event: TaskEvent, by: string): TaskEnd | TaskConflict {
  const { issuer, parentId } = task;
  const parent = event.kind === 'resume' && parentId !== null ? rows.task({ issuer, id: parentId }) : undefined;
  const parts = eventForParts[event.kind] === null ? [] : rows.openParts(task);
  const changes = familyAfter({ task, parent, parts }, event, deedOf(rows, by));
  if ('problem' in changes) return refused(rows, task, changes);
  for (const change of changes) writeChange(rows, change);
  noteStops(rows, { task, parts, changes }, { event, by });
  return { task: changes[0]?.task ?? task, changed: changes.length > 0 };
}

/**
 * INVARIANT: a task that is reported as ended has ended in the store. A task that is only past its time by the clock of this write expires
 * with it: otherwise a process with another clock would still permit it, although the client that wanted to end or narrow it got the answer
 * that it has ended.
 */
function refused(rows: StateRows, task: Task, conflict: TaskConflict): TaskConflict {
  const isUnwritten = conflict.problem === 'ended' && conflict.state === 'expired' && task.endedAtMs === null;
  if (isUnwritten) changeTask(rows, task, { kind: 'expire', cause: expiryOf(task).cause }, 'remit');
  return conflict;
}

/** Within a transaction: writes new facts about an open task, with their record. Writes nothing if they are unchanged. */
export function amendTask(
  rows: StateRows,
  task: Task,
  { by, ...amendment }: Amendment & { readonly by: string },
): Task | TaskConflict {
  const change = taskAmended(task, amendment, deedOf(rows, by));
  if (change === null) return task;
  if ('problem' in change) return refused(rows, task, change);
  writeChange(rows, change);
  return change.task;
}

const deedOf = (rows: StateRows, by: string): Deed => ({ by, nowMs: rows.nowMs(), floorMs: rows.floorMs() });

function writeChange(rows: StateRows, { task, record }: ChangedTask): void {
  rows.setTask(task);
  addRecord(rows, record);
}
