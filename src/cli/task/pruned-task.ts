import type { EndRecord, IntentRecord } from '../../core/ledger/record.ts';
import type { TimelineEntry } from '../../core/ledger/timeline.ts';
import type { TaskJson } from '../../core/task/task-json.ts';

/** A task deleted from the state file, reconstructed from its records. Instants are RFC 3339 in UTC. */
export interface PrunedTask extends Pick<
  TaskJson,
  | 'id'
  | 'agent'
  | 'subject'
  | 'parent'
  | 'purpose'
  | 'intent_hash'
  | 'created_at'
  | 'deadline'
  | 'ended_at'
  | 'cause'
  | 'cause_note'
  | 'trace_id'
  | 'span_id'
  | 'authorization_details'
  | 'claimed'
  | 'subject_attributes'
> {
  /** `null` if its end is not among the records. */
  readonly state: EndRecord['state'] | null;
  readonly is_pruned: true;
}

/** The task of these records; `undefined` if no record is of a created task. */
export function prunedTaskFrom(id: string, records: readonly TimelineEntry[]): PrunedTask | undefined {
  const intent = records.find((record): record is IntentRecord & TimelineEntry => record.kind === 'intent');
  if (intent === undefined || intent.task !== id || intent.agent === null) return undefined;
  const end = records.findLast((record): record is EndRecord & TimelineEntry => record.kind === 'end');
  return {
    id,
    agent: intent.agent,
    subject: intent.subject ?? intent.agent,
    parent: intent.parent,
    purpose: intent.purpose ?? '',
    intent_hash: intent.intentHash ?? '',
    state: end?.state ?? null,
    created_at: instant(intent.at),
    deadline: instant(intent.deadline ?? intent.at),
    ended_at: end === undefined ? null : instant(end.at),
    cause: end?.cause ?? null,
    cause_note: end?.note ?? null,
    trace_id: intent.traceId,
    span_id: intent.spanId,
    authorization_details: intent.details,
    // Safe: made by `subjectAttributesFrom` before it was recorded.
    subject_attributes: (intent.subjectAttributes ?? {}) as TaskJson['subject_attributes'],
    claimed: intent.claimed ?? {},
    is_pruned: true,
  };
}

/** The head of `remit task show` for such a task. */
export const prunedHeadOf = (task: PrunedTask): readonly string[] => [
  `task      ${task.id}  (deleted from the state file after its end; shown from its records)`,
  `agent     ${task.agent}`,
  `purpose   ${task.purpose || '-'}`,
  `intent    ${task.intent_hash}  trace ${task.trace_id}`,
  ...(task.subject === task.agent ? [] : [`for       ${task.subject}`]),
  ...(task.parent === null ? [] : [`part of   ${task.parent}`]),
  `state     ${task.state ?? 'ended'}${task.cause_note === null || task.cause_note === '' ? '' : ` (${task.cause_note})`}`,
  `lives     ${task.created_at} to ${task.ended_at ?? `${task.deadline} at the latest`}`,
  ...attributeLines(task.subject_attributes),
  ...Object.entries(task.claimed).map(([name, value]) => `claimed   ${name}: ${value} (the agent's own word)`),
];

/** The attributes of the subject from its subject token, one line each. */
export const attributeLines = (attributes: TaskJson['subject_attributes']): readonly string[] =>
  Object.entries(attributes).map(
    ([name, value]) =>
      `subject   ${name}: ${Array.isArray(value) ? value.join(', ') : String(value)} (by the issuer of its token)`,
  );

const instant = (ms: number): string => new Date(ms).toISOString();
