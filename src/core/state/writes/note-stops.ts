import { recordText } from '../../ledger/record.ts';
import { type Cause, kindOf } from '../../task/cause.ts';
import { isStop } from '../../task/stop.ts';
import type { StopRow } from '../../task/stop.ts';
import type { Task, TaskEvent } from '../../task/task.ts';
import { addRecord } from './state-rows.ts';
import type { StateRows } from './state-rows.ts';
import type { TaskKey } from '../store.ts';
import type { ChangedTask } from './task-event.ts';

/** A task and its parts before an event, and the changes by the event: the task first, then its parts. */
interface ChangedFamily {
  readonly task: Task;
  readonly parts: readonly Task[];
  readonly changes: readonly ChangedTask[];
}

/**
 * Within a transaction: keeps the stops that an event makes, ends or lifts (`core/task/stop.ts`), so that the next declaration finds them.
 *
 * - A suspension or an end by somebody else stops the task and its open parts, also those that were suspended already.
 * - However a stopped task ends, also by its own agent, its stop lasts from then on: cancelling a suspended task clears nothing.
 * - A resume lifts the stop of the task, and of parts that were suspended with it.
 */
export function noteStops(
  rows: StateRows,
  { task, parts, changes }: ChangedFamily,
  { event, by }: { readonly event: TaskEvent; readonly by: string },
): void {
  const [first] = changes;
  if (first === undefined) return;
  if (first.task.state === 'active') {
    for (const resumed of resumedWith(task, rows.openParts(task))) rows.removeStops(resumed);
    return;
  }
  const after = new Map(changes.map((change) => [change.task.id, change.task]));
  const isStopped = isStop(event, by, task);
  const stopped: StopRow[] = [];
  for (const was of [task, ...parts]) {
    const now = after.get(was.id) ?? was;
    if (now.endedAtMs !== null && was.state === 'suspended') rows.endStops(now, now.endedAtMs);
    if (isStopped && now.state !== 'expired') stopped.push(...stopsOf(now, event, rows.floorMs()));
  }
  if (stopped.length > 0) rows.addStops(stopped);
}

/** The task, and its open parts that only its own suspension holds. */
function resumedWith(task: Task, parts: readonly Task[]): readonly Task[] {
  const freed = new Map([[task.id, task]]);
  // Nearest first, so that each part comes after its parent.
  for (const part of parts) {
    const isHeldByParent = part.cause !== null && kindOf(part.cause.code) === 'parent';
    if (isHeldByParent && part.parentId !== null && freed.has(part.parentId)) freed.set(part.id, part);
  }
  return [...freed.values()];
}

const stopsOf = (
  { issuer, agent, subject, id, endedAtMs, detailsJson }: Task,
  { cause: { code, reach } }: TaskEvent,
  sinceMs: number,
): readonly StopRow[] =>
  actionsIn(detailsJson).map((action) => ({
    issuer,
    agent,
    subject: reach === 'subject' ? subject : '',
    action,
    task: endedAtMs === null ? id : '',
    cause: code,
    sinceMs,
    endedAtMs,
  }));

/** `Store.liftStops`: with a record. */
export function liftStops(
  rows: StateRows,
  key: TaskKey,
  { cause, by }: { readonly cause: Cause; readonly by: string },
): Task | undefined {
  const task = rows.task(key);
  if (task === undefined) return undefined;
  const { issuer, agent, detailsJson, id } = task;
  rows.liftStops({ issuer, agent, actions: actionsIn(detailsJson) });
  addRecord(rows, {
    kind: 'event',
    at: rows.nowMs(),
    task: id,
    event: 'stop-lifted',
    cause: cause.code,
    note: recordText(cause.note),
    by: recordText(by),
    details: {},
  });
  return task;
}

/** The actions of granted details. Issuance has replaced families by their actions. */
function actionsIn(detailsJson: string): readonly string[] {
  const details: unknown = JSON.parse(detailsJson);
  const entries: readonly unknown[] = Array.isArray(details) ? details : [];
  const actions = entries.flatMap((entry) =>
    typeof entry === 'object' && entry !== null && 'actions' in entry && Array.isArray(entry.actions)
      ? entry.actions.filter((action): action is string => typeof action === 'string')
      : [],
  );
  return [...new Set(actions)];
}
