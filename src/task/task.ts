import { type Deny, deny } from '../decision/decision.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import type { SpanReference, TaskToken } from '../token/claims.ts';

/** The life of one accepted intent. Only `active` permits. */
export type TaskState = 'active' | 'suspended' | 'completed' | 'cancelled' | 'revoked' | 'expired';

/** One accepted intent and what became of it. */
export interface Task {
  /** UUIDv7, the `txn` claim of every token of the task. */
  readonly id: string;
  /** `iss` of the issuer that accepted the intent; ids are unique within it. */
  readonly issuer: string;
  readonly agent: SpiffeId;
  /** What the agent said it is doing; `''` where it said nothing. */
  readonly purpose: string;
  /** `sha-256:` and the base64url digest of the intent. */
  readonly intentHash: string;
  /** The state as it was written; `stateAt` gives the one that holds. */
  readonly state: TaskState;
  /** Milliseconds since the Unix epoch, as all instants here. */
  readonly createdAtMs: number;
  /** The first instant at which the task no longer permits. */
  readonly deadlineMs: number;
  readonly endedAtMs: number | null;
  readonly endCause: string | null;
  /** The span in which the intent was accepted. */
  readonly issuance: SpanReference;
  /** The granted `authorization_details`, as JSON text. */
  readonly detailsJson: string;
}

/** What can happen to a task. */
export interface TaskEvent {
  readonly kind: 'complete' | 'cancel' | 'revoke' | 'expire';
  /** Why, for people; kept with the task. */
  readonly cause: string;
}

/** The event cannot happen to a task that has ended otherwise. */
export interface TaskConflict {
  readonly problem: 'ended';
  readonly state: TaskState;
}

type Transitions = Readonly<Record<TaskState, Readonly<Record<TaskEvent['kind'], TaskState | null>>>>;

const ended = { complete: null, cancel: null, revoke: null, expire: null } as const;

/**
 * From a state, by an event, to a state; `null` is a conflict. Where both states are the same the event has happened
 * before and changes nothing. INVARIANT: no row of an ended state leads anywhere else.
 */
const transitions: Transitions = {
  active: { complete: 'completed', cancel: 'cancelled', revoke: 'revoked', expire: 'expired' },
  suspended: { complete: 'completed', cancel: 'cancelled', revoke: 'revoked', expire: 'expired' },
  completed: { ...ended, complete: 'completed' },
  cancelled: { ...ended, cancel: 'cancelled' },
  revoked: { ...ended, revoke: 'revoked' },
  expired: { ...ended, expire: 'expired' },
};

/** Whether a task in this state can still change. */
const isOpen = (state: TaskState): boolean => state === 'active' || state === 'suspended';

/**
 * The state that holds now: as written, except that an open task at or past its deadline is `expired`.
 *
 * @param nowMs the store's floored clock (`Store.nowMs`), so that a clock that steps back revives nothing
 */
export const stateAt = (task: Task, nowMs: number): TaskState =>
  isOpen(task.state) && nowMs >= task.deadlineMs ? 'expired' : task.state;

/**
 * The task after the event: the very same value where the event has happened before, a new one where it ends the task.
 * An event on a task that ended otherwise, its deadline included, is a conflict.
 */
export function afterEvent(task: Task, event: TaskEvent, nowMs: number): Task | TaskConflict {
  const from = stateAt(task, nowMs);
  const to = transitions[from][event.kind];
  if (to === null) return { problem: 'ended', state: from };
  if (to === task.state) return task;
  const endedAtMs = to === 'expired' ? task.deadlineMs : nowMs;
  return { ...task, state: to, endedAtMs, endCause: event.cause };
}

/**
 * The task of the token, if it may still act now. Asked on every use and never cached.
 *
 * @param task what the store holds under the token's issuer and `txn`; `undefined` where it holds nothing
 * @returns `task.unknown`, also where the stored issuer, id or agent is not the token's; `task.<state>` where it has ended
 */
export function taskPermits(task: Task | undefined, token: TaskToken, nowMs: number): Task | Deny {
  if (task === undefined) return deny('task.unknown', 'the store holds no task with the id of the token');
  if (task.id !== token.taskId || task.issuer !== token.issuer) {
    return deny('task.unknown', 'the stored task is not the one of the token');
  }
  if (task.agent !== token.clientId) return deny('task.unknown', 'the task belongs to another agent');
  const state = stateAt(task, nowMs);
  return state === 'active' ? task : deny(`task.${state}`, `the task is \`${state}\`${causeOf(task)}`);
}

const causeOf = (task: Task): string => (task.endCause === null ? '' : `: ${task.endCause}`);
