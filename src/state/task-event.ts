import { recordText } from '../ledger/record.ts';
import type { EndRecord, EventRecord } from '../ledger/record.ts';
import { changedAttestations } from '../task/attestation.ts';
import { type Cause, causeOf } from '../task/cause.ts';
import { changedNames } from '../task/context-change.ts';
import type { Saying } from '../task/context-change.ts';
import { afterEvent, eventForParts, expiryOf, isOpen, stateAt } from '../task/task.ts';
import type { Task, TaskConflict, TaskEvent } from '../task/task.ts';

/** The rows that an event on a task is judged by. */
export interface TaskFamily {
  readonly task: Task;
  /** The task that it is a part of; `undefined` where there is none. Only a resume looks at it. */
  readonly parent?: Task | undefined;
  /** Its open parts and theirs, the nearest first. Only an event that reaches parts looks at them (`eventForParts`). */
  readonly parts: readonly Task[];
}

/** Who does something, and when: `nowMs` is judged by and recorded, `floorMs` is written for good (`clock-floor.ts`). */
export interface Deed {
  readonly by: string;
  readonly nowMs: number;
  readonly floorMs: number;
}

/** A row as it is to be written, with the record of the change. */
export interface ChangedTask {
  readonly task: Task;
  readonly record: EndRecord | EventRecord;
}

/**
 * What an event makes of the rows of a task and its parts: the rows that change, the task first, each with its record; none where
 * the event has happened before. A pure function: every implementation of the state calls it within its transaction.
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
    // A part that has expired unnoticed is written down as that: the instant of its expiry was before this one.
    const isExpired = stateAt(part, deed.floorMs) === 'expired';
    const ended = changedBy(part, isExpired ? { kind: 'expire', cause: expiryOf(part).cause } : { kind, cause }, deed);
    return 'problem' in ended ? [] : ended;
  });
  return [first, ...parts];
}

/** A part may be active only while the task it is a part of is. `null` where nothing stands against it. */
function parentConflict({ task, parent }: TaskFamily, { nowMs }: Deed): TaskConflict | null {
  if (task.parentId === null) return null;
  // The state holds the parent of each part, so that a missing one is a fault that permits nothing.
  const state = parent === undefined ? 'expired' : stateAt(parent, nowMs);
  return state === 'active' ? null : { problem: 'parent', state };
}

function changedBy(task: Task, event: TaskEvent, deed: Deed): readonly ChangedTask[] | TaskConflict {
  // By the floor, so that an end or a suspension is written also where a wall clock that is ahead says the task has expired.
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

/** New facts about a task, and why they are. */
export interface Amendment {
  readonly facts: Partial<Pick<Task, 'risk' | 'claimed' | 'attested'>>;
  readonly event: 'risk' | 'context';
  readonly kind?: Saying['kind'];
  readonly cause: Cause;
}

/** The row of an open task with new facts and the record of them; `null` where they are the old ones. A pure function. */
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
