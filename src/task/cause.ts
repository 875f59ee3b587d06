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

/** A security event that is understood. */
export type SignalName = (typeof SIGNAL_NAMES)[number];

/**
 * Who or what stands behind a cause, with its rank: a suspension of a higher rank takes the place of one of a lower rank, and
 * never the other way round. Deadlines, idle limits and stolen tokens suspend nothing.
 */
const ranks = { agent: 0, parent: 1, deadline: 2, idle: 2, binding: 2, context: 2, signal: 3, operator: 4 } as const;

/** The part of a code before its dot: a closed set, so it is the label of a metric. */
export type CauseKind = keyof typeof ranks;

/** Every kind. */
export const CAUSE_KINDS = [
  'agent',
  'parent',
  'deadline',
  'idle',
  'binding',
  'context',
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
  'operator.completed': 'completed by an operator',
  'operator.cancelled': 'cancelled by an operator',
  'operator.revoked': 'revoked by an operator',
  'operator.suspended': 'suspended by an operator',
  'operator.resumed': 'resumed by an operator',
  'operator.restored': 'ended when an operator restored the state file from a backup',
} as const;

/**
 * Why the state of a task or token changed: `kind.what`, from a closed list. What a machine decides by; the state file, the
 * records, the task API and the spans carry it. `signal.unknown` is an event that is recorded and has no effect.
 */
export type CauseCode = keyof typeof own | `signal.${SignalName | 'unknown'}`;

/** A code, and the same in words for people: never read by a machine. */
export interface Cause {
  readonly code: CauseCode;
  readonly note: string;
}

const notes: ReadonlyMap<string, string> = new Map([
  ...Object.entries(own),
  ...[...SIGNAL_NAMES, 'unknown'].map((name) => [`signal.${name}`, `signal ${name}`] as const),
]);

/** Every code. */
export const CAUSE_CODES: readonly string[] = [...notes.keys()];

/** A cause. @param note default: what the code says, in words */
export const causeOf = (code: CauseCode, note: string = notes.get(code) ?? ''): Cause => ({ code, note });

/** The kind of a code. */
export function kindOf(code: CauseCode): CauseKind {
  const [head = ''] = code.split('.');
  const kind = CAUSE_KINDS.find((known) => known === head);
  if (kind === undefined) throw new Error(`the cause \`${code}\` has no kind`);
  return kind;
}

/** Whether a suspension by this cause takes the place of one by that cause; `null` is a suspension nobody knows the cause of. */
export const outranks = (code: CauseCode, held: CauseCode | null): boolean =>
  held === null || ranks[kindOf(code)] > ranks[kindOf(held)];

/**
 * Whether a resume by this cause lifts a suspension by that one: an operator lifts any, an agent what it suspended itself and
 * what was suspended with the task it is part of, and nothing else does.
 */
export function lifts(code: CauseCode, held: CauseCode | null): boolean {
  const by = kindOf(code);
  if (by === 'operator') return true;
  if (by !== 'agent' || held === null) return false;
  const of = kindOf(held);
  return of === 'agent' || of === 'parent';
}
