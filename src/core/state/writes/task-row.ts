import type { SpiffeId } from '../../identity/spiffe-id.ts';
import type { Cause, CauseCode } from '../../task/cause.ts';
import { noAttributes } from '../../task/subject-attributes.ts';
import type { Task, TaskRisk, TaskState } from '../../task/task.ts';

/** A row of `tasks` as a database returns it. The columns guarantee its types, and only the output of `taskValues` is ever written. */
export type TaskRow = Readonly<Record<string, unknown>>;

/** The columns of `tasks`, in the order of `taskValues`. */
export const taskColumns = [
  'issuer',
  'id',
  'agent',
  'subject',
  'parent',
  'purpose',
  'intent_hash',
  'state',
  'created_ms',
  'deadline_ms',
  'idle_ms',
  'last_used_ms',
  'ended_ms',
  'cause',
  'cause_note',
  'trace_id',
  'span_id',
  'details',
  'claimed',
  'attested',
  'context_rules',
  'risk',
  'generation',
] as const;

/** The same in SQL. */
export const TASK_COLUMNS = taskColumns.map((column) => `tasks.${column}`).join(', ');

/** The task in a row. */
export const taskFrom = (row: TaskRow): Task => {
  const accepted = acceptedFrom(row['context_rules']);
  return {
    issuer: String(row['issuer']),
    id: String(row['id']),
    // `taskValues` wrote these from values of these types.
    agent: String(row['agent']) as SpiffeId,
    state: String(row['state']) as TaskState,
    risk: String(row['risk']) as TaskRisk,
    ...accepted,
    claimed: namesFrom(row['claimed']),
    attested: attestedFrom(row['attested']),
    subject: String(row['subject']),
    parentId: textOrNull(row['parent']),
    purpose: String(row['purpose']),
    intentHash: String(row['intent_hash']),
    createdAtMs: Number(row['created_ms']),
    deadlineMs: Number(row['deadline_ms']),
    idleMs: numberOrNull(row['idle_ms']),
    lastUsedMs: Number(row['last_used_ms']),
    endedAtMs: numberOrNull(row['ended_ms']),
    cause: causeFrom(row),
    issuance: { traceId: String(row['trace_id']), spanId: String(row['span_id']) },
    detailsJson: String(row['details']),
    generation: Number(row['generation']),
  };
};

/** `taskValues` wrote the code of a cause. */
const causeFrom = (row: TaskRow): Cause | null =>
  row['cause'] === null ? null : { code: row['cause'] as CauseCode, note: String(row['cause_note']) };

const textOrNull = (value: unknown): string | null => (typeof value === 'string' ? value : null);

/** A whole number, or `null`. */
export const numberOrNull = (value: unknown): number | null =>
  value === null || value === undefined ? null : Number(value);

const none: Readonly<Record<string, string>> = Object.freeze({});

const namesFrom = (value: unknown): Readonly<Record<string, string>> =>
  value === '{}' ? none : JSON.parse(String(value));

/** What a task is accepted with and never changes. It shares a column, so that files of older versions have it too. */
type Accepted = Pick<Task, 'contextRules' | 'subjectAttributes' | 'priorActors'>;

/** The rules alone, or a list of rules, attributes, and prior actors if there are any. */
function acceptedText({ contextRules, subjectAttributes, priorActors }: Accepted): string {
  if (priorActors !== undefined) return JSON.stringify([contextRules, subjectAttributes, priorActors]);
  return JSON.stringify(Object.keys(subjectAttributes).length === 0 ? contextRules : [contextRules, subjectAttributes]);
}

/** `acceptedText` wrote the value. */
function acceptedFrom(value: unknown): Accepted {
  if (value === '{}') return noAccepted;
  const read: unknown = JSON.parse(String(value));
  const [contextRules, subjectAttributes, priorActors]: readonly unknown[] = Array.isArray(read)
    ? read
    : [read, noAttributes];
  return {
    contextRules: contextRules as Task['contextRules'],
    subjectAttributes: subjectAttributes as Task['subjectAttributes'],
    ...(priorActors === undefined ? {} : { priorActors: priorActors as readonly string[] }),
  };
}

const noAccepted: Accepted = Object.freeze({ contextRules: Object.freeze({}), subjectAttributes: noAttributes });

const nothing: Task['attested'] = Object.freeze([]);

const attestedFrom = (value: unknown): Task['attested'] => (value === '[]' ? nothing : JSON.parse(String(value)));

/** The values of the row of a task. */
export const taskValues = (task: Task): readonly (string | number | null)[] => [
  task.issuer,
  task.id,
  task.agent,
  task.subject,
  task.parentId,
  task.purpose,
  task.intentHash,
  task.state,
  task.createdAtMs,
  task.deadlineMs,
  task.idleMs,
  task.lastUsedMs,
  task.endedAtMs,
  task.cause?.code ?? null,
  task.cause?.note ?? null,
  task.issuance.traceId,
  task.issuance.spanId,
  task.detailsJson,
  JSON.stringify(task.claimed),
  JSON.stringify(task.attested),
  acceptedText(task),
  task.risk,
  task.generation,
];
