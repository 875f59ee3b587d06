import { type Deny, deny } from '../decision/decision.ts';
import { laterOf } from '../runtime/ports.ts';
import type { Clocks } from '../runtime/ports.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import type { SpanReference, TaskToken } from '../token/claims.ts';
import type { Attestation } from './attestation.ts';
import { type Cause, causeOf, lifts, outranks } from './cause.ts';
import type { IssuedTokenState } from './issued-token.ts';
import type { SubjectAttributes } from './subject-attributes.ts';

/** The life of one accepted intent. Only `active` permits. */
export type TaskState = 'active' | 'suspended' | 'completed' | 'cancelled' | 'revoked' | 'expired';

/** What a changed context value does to the task: nothing by itself where it is `ask`, Cedar is asked again. */
export type ContextEffect = 'suspend' | 'revoke' | 'ask';

/** How risky the task has come to be, by signals about its agent, user or device. */
export type TaskRisk = 'low' | 'medium' | 'high';

/** One accepted intent and what became of it. */
export interface Task {
  /** UUIDv7, the `txn` claim of every token of the task. */
  readonly id: string;
  /** `iss` of the issuer that accepted the intent; ids are unique within it. */
  readonly issuer: string;
  readonly agent: SpiffeId;
  /** The `sub` claim: the delegating user, or the agent itself. */
  readonly subject: string;
  /** The task of the same issuer this one was handed a part of: it ends and is suspended with it. */
  readonly parentId: string | null;
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
  /** An active task that is unused for that long is expired; `null` is no such limit. */
  readonly idleMs: number | null;
  /** The last allowed use of a task with an idle limit, of its children too, or its last resume; at first `createdAtMs`. */
  readonly lastUsedMs: number;
  readonly endedAtMs: number | null;
  /** What suspended or ended it, of suspensions the one of the highest rank; `null` while it is active. `causeAt` gives the one that holds. */
  readonly cause: Cause | null;
  /** The span in which the intent was accepted. */
  readonly issuance: SpanReference;
  /** The granted `authorization_details`, as JSON text. */
  readonly detailsJson: string;
  /** What its agent says of itself by name, such as the version of its model: nobody has checked it. */
  readonly claimed: Readonly<Record<string, string>>;
  /** What the issuer of the subject token said of the subject when the task was accepted; it never changes. */
  readonly subjectAttributes: SubjectAttributes;
  /** What others vouch for, each value with who did: the agent can neither add to it nor take from it. */
  readonly attested: readonly Attestation[];
  /** What a change of each value does; a name without a rule revokes, save that a newly attested value asks. */
  readonly contextRules: Readonly<Record<string, ContextEffect>>;
  readonly risk: TaskRisk;
  /** From 1; a resume adds 1, which kills the tokens of before. */
  readonly generation: number;
}

/** What can happen to a task. */
export interface TaskEvent {
  readonly kind: 'complete' | 'cancel' | 'revoke' | 'expire' | 'suspend' | 'resume';
  /** Why: kept with the task where it suspends or ends it, and in the ledger. Who may resume a task is decided by its code. */
  readonly cause: Cause;
}

/**
 * The event cannot happen: to a task that has ended otherwise (`ended`), to a part of a task that is itself not active
 * (`parent`), and `state` is then the parent's, or a resume of what somebody else suspended (`held`).
 */
export interface TaskConflict {
  readonly problem: 'ended' | 'parent' | 'held';
  readonly state: TaskState;
}

type Transitions = Readonly<Record<TaskState, Readonly<Record<TaskEvent['kind'], TaskState | null>>>>;

const open = {
  complete: 'completed',
  cancel: 'cancelled',
  revoke: 'revoked',
  expire: 'expired',
  suspend: 'suspended',
  resume: 'active',
} as const;
const ended = { complete: null, cancel: null, revoke: null, expire: null, suspend: null, resume: null } as const;

/**
 * From a state, by an event, to a state; `null` is a conflict. Where both states are the same the event has happened
 * before and changes nothing. INVARIANT: no row of an ended state leads anywhere else.
 */
const transitions: Transitions = {
  active: open,
  suspended: open,
  completed: { ...ended, complete: 'completed' },
  cancelled: { ...ended, cancel: 'cancelled' },
  revoked: { ...ended, revoke: 'revoked' },
  expired: { ...ended, expire: 'expired' },
};

/** What happens to the open parts of a task when it ends or is suspended; nothing on a resume. */
export const eventForParts: Readonly<Record<TaskEvent['kind'], TaskEvent['kind'] | null>> = {
  complete: 'cancel',
  cancel: 'cancel',
  revoke: 'revoke',
  expire: 'expire',
  suspend: 'suspend',
  resume: null,
};

/** Whether a task in this state can still change. */
export const isOpen = (state: TaskState): boolean => state === 'active' || state === 'suspended';

/** When and why a task that is left alone expires. A suspended task does not idle: it has the deadline alone. */
export function expiryOf(task: Task): { readonly atMs: number; readonly cause: Cause } {
  const idleAtMs = task.idleMs === null || task.state === 'suspended' ? Infinity : task.lastUsedMs + task.idleMs;
  return idleAtMs < task.deadlineMs
    ? { atMs: idleAtMs, cause: causeOf('idle') }
    : { atMs: task.deadlineMs, cause: causeOf('deadline') };
}

/**
 * The state that holds now: as written, except that an open task at or past its deadline or idle limit is `expired`.
 *
 * @param nowMs `Store.nowMs` to decide by, so that a clock that steps back revives nothing; `Store.floorMs` to write by, so that
 *   a clock that is ahead ends nothing
 */
export const stateAt = (task: Task, nowMs: number): TaskState =>
  isOpen(task.state) && nowMs >= expiryOf(task).atMs ? 'expired' : task.state;

/** Why it is in that state: as written, or the limit that an open task has passed. `null` while it is active. */
export const causeAt = (task: Task, nowMs: number): Cause | null =>
  stateAt(task, nowMs) === task.state ? task.cause : expiryOf(task).cause;

/** Why a resume by this cause cannot lift the suspension of the task; `null` where it can, or nothing is suspended. */
export const resumeConflict = (task: Task, { code }: Cause): TaskConflict | null =>
  task.state !== 'suspended' || lifts(code, task.cause?.code ?? null) ? null : { problem: 'held', state: task.state };

/**
 * The task after the event: the very same value where the event has happened before, a new one where it changes the task.
 * An event on a task that ended otherwise, its expiry included, is a conflict. A suspended task that is suspended again is held
 * by the stronger of both from then on, and a resume by anybody whom that is not for is a conflict.
 */
export function afterEvent(task: Task, event: TaskEvent, nowMs: number): Task | TaskConflict {
  const from = stateAt(task, nowMs);
  const to = transitions[from][event.kind];
  if (to === null) return { problem: 'ended', state: from };
  if (to === 'suspended') return suspended(task, event.cause);
  if (to === task.state) return task;
  if (to === 'active') {
    const resumed = { ...task, state: to, cause: null, generation: task.generation + 1, lastUsedMs: nowMs };
    return resumeConflict(task, event.cause) ?? resumed;
  }
  const endedAtMs = to === 'expired' ? Math.min(expiryOf(task).atMs, nowMs) : nowMs;
  return { ...task, state: to, endedAtMs, cause: event.cause };
}

const suspended = (task: Task, cause: Cause): Task =>
  task.state === 'suspended' && !outranks(cause.code, task.cause?.code ?? null)
    ? task
    : { ...task, state: 'suspended', cause };

/**
 * The task of the token, if it may still act now with that token. Asked on every use and never cached.
 *
 * @param task what the store holds under the token's issuer and `txn`; `undefined` where it holds nothing
 * @param issued what the store holds of the token itself under that task; `undefined` where it holds nothing
 * @returns `task.unknown`, also where the stored issuer, id or agent is not the token's; `task.<state>` where the task is
 *   not active; `token.revoked` where the token was revoked or is of before a resume; `token.expired` where its time is over by
 *   the floor, however the wall clock was set since
 */
export function taskPermits(
  task: Task | undefined,
  token: TaskToken,
  issued: IssuedTokenState | undefined,
  clocks: Pick<Clocks, 'wallMs' | 'floorMs'>,
): Task | Deny {
  if (task === undefined) return deny('task.unknown', 'the store holds no task with the id of the token');
  if (task.id !== token.taskId || task.issuer !== token.issuer) {
    return deny('task.unknown', 'the stored task is not the one of the token');
  }
  if (task.agent !== token.clientId) return deny('task.unknown', 'the task belongs to another agent');
  if (issued === undefined) return deny('task.unknown', 'the store holds no such token of the task');
  const nowMs = laterOf(clocks);
  const state = stateAt(task, nowMs);
  if (state !== 'active') return deny(`task.${state}`, `the task is \`${state}\`${noteOf(causeAt(task, nowMs))}`);
  const problem = tokenProblem(task, issued);
  if (problem !== null) return deny('token.revoked', problem);
  return clocks.floorMs < issued.expiresAtMs ? task : deny('token.expired', 'the time of the token is over');
}

/** Why a token of the task is dead while the task itself may live; `null` where it is alive. */
export function tokenProblem(task: Task, issued: IssuedTokenState): string | null {
  if (issued.revokedAtMs !== null) return 'the token was revoked';
  return issued.generation === task.generation ? null : 'the token is of before the task was suspended and resumed';
}

const noteOf = (cause: Cause | null): string => (cause === null || cause.note === '' ? '' : `: ${cause.note}`);
