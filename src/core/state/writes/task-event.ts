/** What an event does to the row of a task: pure. */
import { recordText } from '../../ledger/record.ts';
import type { EndRecord, EventRecord } from '../../ledger/record.ts';
import { changedAttestations } from '../../task/attestation.ts';
import { type Cause, causeOf } from '../../task/cause.ts';
import { changedNames } from '../../task/context-change.ts';
import type { Saying } from '../../task/context-change.ts';
import { afterEvent, eventForParts, expiryOf, isOpen, stateAt } from '../../task/task.ts';
import type { Task, TaskConflict, TaskEvent } from '../../task/task.ts';

/** The rows by which an event is decided. */
export interface TaskFamily {
  readonly task: Task;
  /** The parent of the task; `undefined` if there is none. Only a resume reads it. */
  readonly parent?: Task | undefined;
  /** Its open descendants, nearest first. Read only for events that reach parts (`eventForParts`). */
  readonly parts: readonly Task[];
}

/** Who acts, and when. `nowMs` is recorded and decides; `floorMs` is for permanent writes (`clock-floor.ts`). */
export interface Deed {
  readonly by: string;
  readonly nowMs: number;
  readonly floorMs: number;
}

/** A row to write, with the record of its change. */
export interface ChangedTask {
  readonly task: Task;
  readonly record: EndRecord | EventRecord;
}

/**
 * Applies an event to a task and its parts. Returns the rows that change, the task first, each with its record; none if the event has
 * already happened. A pure function: every implementation of the state calls it within its transaction.
 */
export function familyAfter(family: TaskFamily, event: TaskEvent, deed: Deed): readonly ChangedTask[] | TaskConflict {
  const conflict = event.kind === 'resume' ? parentConflict(family, deed) : null;
  if (conflict !== null) return conflict;
  const changed = changedBy(family.task, event, deed);
  if ('problem' in changed) return changed;
  const [first] = changed;
  const kind = eventForParts[event.kind];
  if (first === undefined || kind === null || first.task.state === 'active') return changed;
  const { id, state } = first.task;
  const cause = causeOf(`parent.${state}`, `it is part of task \`${id}\`, which is \`${state}\`: ${event.cause.note}`);
  const parts = family.parts.flatMap((part) => {
    // If a part has already expired, its expiry is written instead: that happened first.
    const isExpired = stateAt(part, deed.floorMs) === 'expired';
    const ended = changedBy(part, isExpired ? { kind: 'expire', cause: expiryOf(part).cause } : { kind, cause }, deed);
    return 'problem' in ended ? [] : ended;
  });
  return [first, ...parts];
}

/** Why a part cannot become active: its parent is not active. `null` if nothing prevents it. */
function parentConflict({ task, parent }: TaskFamily, { nowMs }: Deed): TaskConflict | null {
  if (task.parentId === null) return null;
  // The state holds the parent of each part. A missing parent is a fault, and permits nothing.
  const state = parent === undefined ? 'expired' : stateAt(parent, nowMs);
  return state === 'active' ? null : { problem: 'parent', state };
}

function changedBy(task: Task, event: TaskEvent, deed: Deed): readonly ChangedTask[] | TaskConflict {
  // By the floor, so that an end or a suspension is written even if a wall clock that is ahead says the task has expired.
  const after = afterEvent(task, event, deed.floorMs);
  if ('problem' in after) return after;
  return after === task ? [] : [{ task: after, record: recordOf(after, event.cause, deed) }];
}

function recordOf(after: Task, cause: Cause, { by, nowMs }: Deed): EndRecord | EventRecord {
  const { state } = after;
  const why = { cause, by, at: nowMs };
  if (state === 'active') return eventRecord(after, 'resumed', { ...why, details: { generation: after.generation } });
  if (state === 'suspended') return eventRecord(after, 'suspended', { ...why, details: {} });
  return {
    kind: 'end',
    at: nowMs,
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
  why: { readonly at: number; readonly cause: Cause; readonly by: string } & Pick<EventRecord, 'details'>,
): EventRecord => ({
  kind: 'event',
  at: why.at,
  task: task.id,
  event,
  cause: why.cause.code,
  note: recordText(why.cause.note),
  by: recordText(why.by),
  details: why.details,
});

/** New facts about a task, and their cause. */
export interface Amendment {
  readonly facts: Partial<Pick<Task, 'risk' | 'claimed' | 'attested'>>;
  readonly event: 'risk' | 'context';
  readonly kind?: Saying['kind'];
  readonly cause: Cause;
}

/** The row of an open task with new facts and their record; `null` if the facts are unchanged. A pure function. */
export function taskAmended(task: Task, amendment: Amendment, deed: Deed): ChangedTask | null | TaskConflict {
  const state = stateAt(task, deed.floorMs);
  if (!isOpen(state)) return { problem: 'ended', state };
  const { facts, event, kind, cause } = amendment;
  const after = { ...task, ...facts };
  const changes = changesOf(task, after);
  if (Object.keys(changes).length === 0) return null;
  const details = { ...(kind === undefined ? {} : { kind }), ...changes };
  return { task: after, record: eventRecord(after, event, { cause, by: deed.by, at: deed.nowMs, details }) };
}

/** The changed facts, as details of a record: new values, and `null` for removed values. */
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

/** Reads own members only: a name such as `constructor` can be chosen by anybody. */
const claimOf = (claimed: Task['claimed'], name: string): readonly [string, string | null] => [
  recordText(name),
  Object.hasOwn(claimed, name) ? recordText(claimed[name] ?? '') : null,
];
