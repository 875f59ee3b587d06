import type { JsonValue } from '../ledger/canonical-json.ts';
import { recordText } from '../ledger/record.ts';
import type { EndRecord, EventRecord } from '../ledger/record.ts';
import { type Cause, causeOf } from '../task/cause.ts';
import { afterEvent, eventForParts, expiryOf, isOpen, stateAt } from '../task/task.ts';
import type { Task, TaskConflict, TaskEvent } from '../task/task.ts';
import type { Connection } from './connection.ts';
import { insertRecord } from './outbox-table.ts';
import type { TaskEnd } from './store.ts';
import { openPartsOf, taskAt, updateTaskRow } from './task-table.ts';

/**
 * Within a transaction: the event on the task and what follows for its parts, each with its record. Nothing is written
 * where it has happened before or cannot happen.
 */
export function changeTask(connection: Connection, task: Task, event: TaskEvent, by: string): TaskEnd | TaskConflict {
  const conflict = event.kind === 'resume' ? parentConflict(connection, task) : null;
  if (conflict !== null) return conflict;
  const changed = changeOne(connection, task, event, by);
  if ('problem' in changed || !changed.changed) return changed;
  const kind = eventForParts[event.kind];
  const { state } = changed.task;
  if (kind === null || state === 'active') return changed;
  const note = `it is part of task \`${task.id}\`, which is \`${state}\`: ${event.cause.note}`;
  const cause = causeOf(`parent.${state}`, note);
  for (const part of openPartsOf(connection, task)) {
    // A part that has expired unnoticed is written down as that: the instant of its expiry was before this one.
    const isExpired = stateAt(part, connection.floorMs()) === 'expired';
    changeOne(connection, part, isExpired ? { kind: 'expire', cause: expiryOf(part).cause } : { kind, cause }, by);
  }
  return changed;
}

/** A part may be active only while the task it is a part of is. `null` where nothing stands against it. */
export function parentConflict(connection: Connection, task: Task): TaskConflict | null {
  if (task.parentId === null) return null;
  const parent = taskAt(connection, { issuer: task.issuer, id: task.parentId });
  // A foreign key holds the parent there.
  const state = parent === undefined ? 'expired' : stateAt(parent, connection.nowMs());
  return state === 'active' ? null : { problem: 'parent', state };
}

function changeOne(connection: Connection, task: Task, event: TaskEvent, by: string): TaskEnd | TaskConflict {
  // By the floor, so that an end or a suspension is written also where a wall clock that is ahead says the task has expired.
  const after = afterEvent(task, event, connection.floorMs());
  if ('problem' in after) return after;
  if (after === task) return { task, changed: false };
  updateTaskRow(connection, after);
  insertRecord(connection, recordOf(after, { ...event, by, at: connection.nowMs() }));
  return { task: after, changed: true };
}

/** Who did something, when, and why. */
interface Deed {
  readonly at: number;
  readonly cause: Cause;
  readonly by: string;
}

function recordOf(after: Task, deed: Deed): EndRecord | EventRecord {
  const { state } = after;
  if (state === 'active') return eventRecord(after, 'resumed', { ...deed, details: { generation: after.generation } });
  if (state === 'suspended') return eventRecord(after, 'suspended', { ...deed, details: {} });
  const { at, cause, by } = deed;
  return {
    kind: 'end',
    at,
    task: after.id,
    state,
    cause: cause.code,
    note: recordText(cause.note),
    by: recordText(by),
  };
}

const eventRecord = (
  task: Task,
  event: EventRecord['event'],
  { at, cause, by, details }: Deed & Pick<EventRecord, 'details'>,
): EventRecord => ({
  kind: 'event',
  at,
  task: task.id,
  event,
  cause: cause.code,
  note: recordText(cause.note),
  by: recordText(by),
  details,
});

/** Within a transaction: new facts about an open task, with their record; nothing is written where they are the old ones. */
export function amendTask(
  connection: Connection,
  task: Task,
  facts: Pick<Task, 'risk'> | Pick<Task, 'context'>,
  why: { readonly cause: Cause; readonly by: string },
): Task | TaskConflict {
  const state = stateAt(task, connection.floorMs());
  if (!isOpen(state)) return { problem: 'ended', state };
  const details = 'risk' in facts ? riskChange(task, facts.risk) : contextChange(task.context, facts.context);
  if (Object.keys(details).length === 0) return task;
  const after = { ...task, ...facts };
  updateTaskRow(connection, after);
  const event = 'risk' in facts ? 'risk' : 'context';
  insertRecord(connection, eventRecord(after, event, { ...why, at: connection.nowMs(), details }));
  return after;
}

const riskChange = (task: Task, risk: Task['risk']): EventRecord['details'] =>
  risk === task.risk ? {} : { from: task.risk, to: risk };

/** The values that are new, and `null` for those that are gone; names in their order. */
function contextChange(from: Task['context'], to: Task['context']): EventRecord['details'] {
  const changes: [string, JsonValue][] = [];
  for (const name of new Set([...Object.keys(from), ...Object.keys(to)])) {
    const value = Object.hasOwn(to, name) ? to[name] : undefined;
    const before = Object.hasOwn(from, name) ? from[name] : undefined;
    if (value !== before) changes.push([recordText(name), value === undefined ? null : recordText(value)]);
  }
  return Object.fromEntries(changes);
}
