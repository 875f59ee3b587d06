import { recordText } from '../../ledger/record.ts';
import type { EndRecord, EventRecord } from '../../ledger/record.ts';
import { changedAttestations } from '../../task/attestation.ts';
import { type Cause, causeOf } from '../../task/cause.ts';
import { changedNames } from '../../task/context-change.ts';
import type { Saying } from '../../task/context-change.ts';
import { afterEvent, eventForParts, expiryOf, isOpen, stateAt } from '../../task/task.ts';
import type { Task, TaskConflict, TaskEvent } from '../../task/task.ts';
import type { Connection } from './connection.ts';
import { insertRecord } from './outbox-table.ts';
import type { TaskEnd } from '../store.ts';
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
  // A trigger holds the parent there.
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
  facts: Partial<Pick<Task, 'risk' | 'claimed' | 'attested'>>,
  why: {
    readonly event: 'risk' | 'context';
    readonly kind?: Saying['kind'];
    readonly cause: Cause;
    readonly by: string;
  },
): Task | TaskConflict {
  const state = stateAt(task, connection.floorMs());
  if (!isOpen(state)) return { problem: 'ended', state };
  const after = { ...task, ...facts };
  const details = changesOf(task, after);
  if (Object.keys(details).length === 0) return task;
  updateTaskRow(connection, after);
  const { event, kind, cause, by } = why;
  const said = { ...(kind === undefined ? {} : { kind }), ...details };
  insertRecord(connection, eventRecord(after, event, { cause, by, at: connection.nowMs(), details: said }));
  return after;
}

/** What is not as it was, in the words of a record: of values those that are new, and `null` for those that are gone. */
function changesOf(from: Task, to: Task): EventRecord['details'] {
  const claimed = changedNames(from.claimed, to.claimed);
  const attested = changedAttestations(from.attested, to.attested);
  return {
    ...(from.risk === to.risk ? {} : { from: from.risk, to: to.risk }),
    ...(claimed.length === 0 ? {} : { claimed: Object.fromEntries(claimed.map((name) => claimOf(to.claimed, name))) }),
    ...(attested.length === 0
      ? {}
      : {
          attested: attested.map(({ name, value, by }) => ({
            name: recordText(name),
            value: value === null ? null : recordText(value),
            by: recordText(by),
          })),
        }),
  };
}

/** An own member alone: a name such as `constructor` is anybody's to choose. */
const claimOf = (claimed: Task['claimed'], name: string): readonly [string, string | null] => [
  recordText(name),
  Object.hasOwn(claimed, name) ? recordText(claimed[name] ?? '') : null,
];
