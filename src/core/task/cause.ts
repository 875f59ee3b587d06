/** The causes of changes of tasks: codes, with their kind and rank. */

/** Security events that can change a task, by the last part of their URI. */
export const SIGNAL_NAMES = [
  'session-revoked',
  'credential-change',
  'token-claims-change',
  'assurance-level-change',
  'device-compliance-change',
  'risk-level-change',
  'session-established',
  'session-presented',
  'account-disabled',
  'account-purged',
  'account-credential-change-required',
  'credential-compromise',
  'sessions-revoked',
  'verification',
  'stream-updated',
] as const;

/** A known security event. */
export type SignalName = (typeof SIGNAL_NAMES)[number];

/**
 * Kinds of cause with their rank: a suspension of higher rank replaces a suspension of lower rank, never the reverse. Deadlines, idle
 * limits and stolen tokens do not suspend.
 */
const ranks = {
  agent: 0,
  parent: 1,
  deadline: 2,
  idle: 2,
  binding: 2,
  context: 2,
  limit: 2,
  signal: 3,
  operator: 4,
} as const;

/** The part of a code before the dot. A closed set, so it can be a metric label. */
export type CauseKind = keyof typeof ranks;

/** Every kind. */
export const CAUSE_KINDS = [
  'agent',
  'parent',
  'deadline',
  'idle',
  'binding',
  'context',
  'limit',
  'signal',
  'operator',
] as const satisfies readonly CauseKind[];

const own = {
  'agent.completed': 'completed by the agent',
  'agent.cancelled': 'cancelled by the agent',
  'agent.revoked': 'revoked by the agent',
  'agent.suspended': 'suspended by the agent',
  'agent.resumed': 'resumed by the agent',
  'parent.completed': 'the task it is part of was completed',
  'parent.cancelled': 'the task it is part of was cancelled',
  'parent.revoked': 'the task it is part of was revoked',
  'parent.expired': 'the task it is part of has expired',
  'parent.suspended': 'the task it is part of was suspended',
  deadline: 'deadline reached',
  idle: 'idle limit reached',
  'binding.violation': 'a token was presented by another workload',
  'context.changed': 'the context changed',
  'limit.exceeded': 'a limit over all tasks is used up',
  'operator.completed': 'completed by an operator',
  'operator.cancelled': 'cancelled by an operator',
  'operator.revoked': 'revoked by an operator',
  'operator.suspended': 'suspended by an operator',
  'operator.resumed': 'resumed by an operator',
  'operator.allowed': 'an operator let the agent declare like tasks again',
  'operator.stopped': 'stopped by an operator',
  'operator.observed': 'only observed, by the order of an operator',
  'operator.lifted': 'an order was lifted by an operator',
  'operator.restored': 'ended when an operator restored the state file from a backup',
} as const;

/**
 * Why the state of a task or token changed: `kind.what`, from a closed list. Machines decide by this code; state file, records,
 * task API and spans carry it. `signal.unknown` is an event that is recorded and has no effect.
 */
export type CauseCode = keyof typeof own | `signal.${SignalName | 'unknown'}`;

/** A code with its description for people, which no machine reads. */
export interface Cause {
  readonly code: CauseCode;
  readonly note: string;
  /** Present if it concerns only the subject of a task, not its agent. Not stored with the task. */
  readonly reach?: 'subject';
}

const notes: ReadonlyMap<string, string> = new Map([
  ...Object.entries(own),
  ...[...SIGNAL_NAMES, 'unknown'].map((name) => [`signal.${name}`, `signal ${name}`] as const),
]);

/** Every code. */
export const CAUSE_CODES: readonly string[] = [...notes.keys()];

/** Makes a cause. @param note default: the description of the code */
export const causeOf = (code: CauseCode, note: string = notes.get(code) ?? ''): Cause => ({ code, note });

/** The kind of a code. */
export function kindOf(code: CauseCode): CauseKind {
  const [head = ''] = code.split('.');
  const kind = CAUSE_KINDS.find((known) => known === head);
  if (kind === undefined) throw new Error(`the cause \`${code}\` has no kind`);
  return kind;
}

/** The kinds of cause by which somebody other than the agent stops a task. */
export const STOPPING_KINDS = [
  'binding',
  'context',
  'limit',
  'signal',
  'operator',
] as const satisfies readonly CauseKind[];

const others: ReadonlySet<CauseKind> = new Set<CauseKind>(STOPPING_KINDS);

/**
 * Whether somebody other than the agent stops a task by this cause. False for limits of time, and for the end of all tasks of a
 * restored state.
 */
export const isByOthers = (code: CauseCode): boolean => code !== 'operator.restored' && others.has(kindOf(code));

/** Whether a suspension by `code` replaces a suspension by `held`; `null` is a suspension of unknown cause. */
export const outranks = (code: CauseCode, held: CauseCode | null): boolean =>
  held === null || ranks[kindOf(code)] > ranks[kindOf(held)];

/**
 * Whether a resume by `code` lifts a suspension by `held`. An operator lifts any; an agent lifts its own and those inherited
 * from its parent task; nothing else lifts any.
 */
export function lifts(code: CauseCode, held: CauseCode | null): boolean {
  const by = kindOf(code);
  if (by === 'operator') return true;
  if (by !== 'agent' || held === null) return false;
  const of = kindOf(held);
  return of === 'agent' || of === 'parent';
}
