import { type Deny, deny } from '../decision/decision.ts';
import { laterOf } from '../runtime/ports.ts';
import type { Clocks } from '../runtime/ports.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import type { SpanReference, TaskToken } from '../token/claims.ts';
import type { Attestation } from './attestation.ts';
import { type Cause, causeOf, lifts, outranks } from './cause.ts';
import type { IssuedTokenState } from './issued-token.ts';
import type { SubjectAttributes } from './subject-attributes.ts';

/** The state of a task. Only `active` permits calls. */
export type TaskState = 'active' | 'suspended' | 'completed' | 'cancelled' | 'revoked' | 'expired';

/** What a changed context value does to the task; `ask` leaves the task as it is, and the policies are evaluated again. */
export type ContextEffect = 'suspend' | 'revoke' | 'ask';

/** The risk of a task, raised by signals about its agent, user or device. */
export type TaskRisk = 'low' | 'medium' | 'high';

/** One accepted intent and its state. */
export interface Task {
  /** UUIDv7, the `txn` claim of every token of the task. */
  readonly id: string;
  /** `iss` of the issuer that accepted the intent; ids are unique within it. */
  readonly issuer: string;
  readonly agent: SpiffeId;
  /** The `sub` claim: the delegating user, or the agent itself. */
  readonly subject: string;
  /** The parent task (same issuer), whose suspension or end this task shares; `null` for a root task. */
  readonly parentId: string | null;
  /** The declared purpose; `''` if none was given. */
  readonly purpose: string;
  /** `sha-256:` and the base64url digest of the intent. */
  readonly intentHash: string;
  /** The stored state. `stateAt` gives the effective state. */
  readonly state: TaskState;
  /** Milliseconds since the Unix epoch, as all instants here. */
  readonly createdAtMs: number;
  /** The first instant at which the task no longer permits. */
  readonly deadlineMs: number;
  /** An active task expires when it is unused for this long; `null` is no limit. */
  readonly idleMs: number | null;
  /** Last allowed use (of sub-tasks too) or resume of a task with an idle limit; initially `createdAtMs`. */
  readonly lastUsedMs: number;
  readonly endedAtMs: number | null;
  /**
   * What suspended or ended it; the highest-ranking suspension if there are several; `null` while active. `causeAt` gives the effective
   * cause.
   */
  readonly cause: Cause | null;
  /** The span in which the intent was accepted. */
  readonly issuance: SpanReference;
  /** The granted `authorization_details`, as JSON text. */
  readonly detailsJson: string;
  /** Values the agent claims about itself, such as its model version; unverified. */
  readonly claimed: Readonly<Record<string, string>>;
  /** Attributes of the subject at acceptance; immutable. */
  readonly subjectAttributes: SubjectAttributes;
  /**
   * Who acted for the subject before the agent, in the subject token of another issuer: outermost first, immutable. Absent if nobody did, and for
   * sub-tasks.
   */
  readonly priorActors?: readonly string[];
  /** Values that others vouch for, each with its attester. The agent cannot change them. */
  readonly attested: readonly Attestation[];
  /**
   * The effect of a change by name. Without a rule a change revokes, except that a newly attested value and a value of a security
   * event ask.
   */
  readonly contextRules: Readonly<Record<string, ContextEffect>>;
  readonly risk: TaskRisk;
  /** Starts at 1. A resume adds 1, which invalidates earlier tokens. */
  readonly generation: number;
}

/** An event that changes a task. */
export interface TaskEvent {
  readonly kind: 'complete' | 'cancel' | 'revoke' | 'expire' | 'suspend' | 'resume';
  /** Why. Stored with the task if it suspends or ends it, and in the ledger. Its code decides who may resume the task. */
  readonly cause: Cause;
}

/**
 * Why an event is refused: the task has ended otherwise (`ended`); its parent, whose state is `state`, is not active
 * (`parent`); or the suspension belongs to somebody else (`held`).
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
 * The state machine: state, event, next state; `null` is a conflict. The same state means that the event has already happened
 * and changes nothing. INVARIANT: an ended state leads to no other.
 */
const transitions: Transitions = {
  active: open,
  suspended: open,
  completed: { ...ended, complete: 'completed' },
  cancelled: { ...ended, cancel: 'cancelled' },
  revoked: { ...ended, revoke: 'revoked' },
  expired: { ...ended, expire: 'expired' },
};

/** The event for the open sub-tasks of a task that ends or is suspended; none on a resume. */
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

/** When and why a task expires if left alone. The idle limit does not apply while it is suspended; the deadline does. */
export function expiryOf(task: Task): { readonly atMs: number; readonly cause: Cause } {
  const idleAtMs = task.idleMs === null || task.state === 'suspended' ? Infinity : task.lastUsedMs + task.idleMs;
  return idleAtMs < task.deadlineMs
    ? { atMs: idleAtMs, cause: causeOf('idle') }
    : { atMs: task.deadlineMs, cause: causeOf('deadline') };
}

/** How long a task lives at most, from its declaration to its deadline, in whole seconds. */
export const lifeSecondsOf = ({ createdAtMs, deadlineMs }: Pick<Task, 'createdAtMs' | 'deadlineMs'>): number =>
  Math.max(0, Math.floor((deadlineMs - createdAtMs) / 1_000));

/**
 * The effective state: as stored, except that an open task past its deadline or idle limit is `expired`.
 *
 * @param nowMs to decide: `Store.nowMs`, so that a slow clock revives nothing; to write: `Store.floorMs`, so that a fast clock
 * ends nothing
 */
export const stateAt = (task: Task, nowMs: number): TaskState =>
  isOpen(task.state) && nowMs >= expiryOf(task).atMs ? 'expired' : task.state;

/** The cause of the effective state: as stored, or the limit that an open task has passed. `null` while active. */
export const causeAt = (task: Task, nowMs: number): Cause | null =>
  stateAt(task, nowMs) === task.state ? task.cause : expiryOf(task).cause;

/** Why a resume by this cause cannot lift the suspension; `null` if it can, or the task is not suspended. */
export const resumeConflict = (task: Task, { code }: Cause): TaskConflict | null =>
  task.state !== 'suspended' || lifts(code, task.cause?.code ?? null) ? null : { problem: 'held', state: task.state };

/**
 * Applies an event to a task. Returns the same object if the event has already happened, a new object if it changes the task. A conflict if
 * the task has ended otherwise (expiry included), or if the resume is not entitled to lift the suspension. Suspending a suspended task
 * keeps the cause of higher rank.
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
 * The task of a token, if it may act with that token now. Called on every use, never cached.
 *
 * @param task stored under the token's issuer and `txn`; `undefined` if there is none
 * @param issued the stored state of the token under that task; `undefined` if there is none
 * @returns `task.unknown`, also if issuer, id or agent differ from the token's; `task.<state>` if the task is not active; `token.revoked`
 * if the token was revoked or predates a resume; `token.expired` if it has expired by the floor, whatever the wall clock says
 */
export function taskPermits(
  task: Task | undefined,
  token: TaskToken,
  issued: IssuedTokenState | undefined,
  clocks: Pick<Clocks, 'wallMs' | 'floorMs'>,
): Task | Deny {
  if (task === undefined) return deny('task.unknown', 'the store holds no task with the id of the token');
  if (task.id !== token.taskId || task.issuer !== token.issuer) {
    return deny('task.unknown', 'the stored task has another issuer or id than the token');
  }
  if (task.agent !== token.clientId) return deny('task.unknown', 'the task belongs to another agent');
  if (issued === undefined) return deny('task.unknown', 'the store holds no such token of the task');
  const nowMs = laterOf(clocks);
  const state = stateAt(task, nowMs);
  if (state !== 'active') return deny(`task.${state}`, `the task is \`${state}\`${noteOf(causeAt(task, nowMs))}`);
  const problem = tokenProblem(task, issued);
  if (problem !== null) return deny('token.revoked', problem);
  return clocks.floorMs < issued.expiresAtMs ? task : deny('token.expired', 'the token has expired');
}

/** Why a token is dead although its task may be alive; `null` if it is alive. */
export function tokenProblem(task: Task, issued: IssuedTokenState): string | null {
  if (issued.revokedAtMs !== null) return 'the token was revoked';
  return issued.generation === task.generation
    ? null
    : 'the token was issued before the task was suspended and resumed';
}

const noteOf = (cause: Cause | null): string => (cause === null || cause.note === '' ? '' : `: ${cause.note}`);
