import type { SpiffeId } from '../../identity/spiffe-id.ts';
import type { Cause, CauseCode } from '../../task/cause.ts';
import { isObject } from '../../runtime/fields.ts';
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

/**
 * The task in a row. If a text of it cannot be read, the task is past its deadline: it permits nothing and gives no token, and can still be
 * listed, ended with its family and deleted, so that a damaged row fails no list and no sweep.
 */
export function taskFrom(row: TaskRow): Task {
  const texts = textsFrom(row);
  const task: Task = {
    issuer: String(row['issuer']),
    id: String(row['id']),
    // `taskValues` wrote these from values of these types.
    agent: String(row['agent']) as SpiffeId,
    state: String(row['state']) as TaskState,
    risk: String(row['risk']) as TaskRisk,
    ...(texts ?? UNREADABLE),
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
    generation: Number(row['generation']),
  };
  return texts === null ? pastDeadline(task) : task;
}

/** The task, past its deadline: what belongs to it cannot be read. */
export const pastDeadline = (task: Task): Task => ({ ...task, deadlineMs: task.createdAtMs });

/** What is JSON in a row. */
type Texts = Accepted & Pick<Task, 'claimed' | 'attested' | 'detailsJson'>;

/** `null` if a text is not as `taskValues` writes it. */
function textsFrom(row: TaskRow): Texts | null {
  try {
    const detailsJson = String(row['details']);
    const accepted = acceptedFrom(row['context_rules']);
    const claimed = namesFrom(row['claimed']);
    const attested = attestedFrom(row['attested']);
    const isReadable = accepted !== null && claimed !== null && attested !== null;
    return isReadable && Array.isArray(JSON.parse(detailsJson))
      ? { ...accepted, claimed, attested, detailsJson }
      : null;
  } catch {
    return null;
  }
}

/** Whether the texts of a row can be read. */
export const isReadableTask = (row: TaskRow): boolean => textsFrom(row) !== null;

/** `taskValues` wrote the code of a cause. */
const causeFrom = (row: TaskRow): Cause | null =>
  row['cause'] === null ? null : { code: row['cause'] as CauseCode, note: String(row['cause_note']) };

const textOrNull = (value: unknown): string | null => (typeof value === 'string' ? value : null);

/** A whole number, or `null`. */
export const numberOrNull = (value: unknown): number | null =>
  value === null || value === undefined ? null : Number(value);

const none: Readonly<Record<string, string>> = Object.freeze({});

/** Texts by name. */
function namesFrom(value: unknown): Readonly<Record<string, string>> | null {
  if (value === '{}') return none;
  const read: unknown = JSON.parse(String(value));
  // Each value was looked at.
  return isObject(read) && Object.values(read).every(isText) ? (read as Readonly<Record<string, string>>) : null;
}

const isText = (value: unknown): value is string => typeof value === 'string';

/** What a task is accepted with and never changes. It shares a column, so that files of older versions have it too. */
type Accepted = Pick<Task, 'contextRules' | 'subjectAttributes' | 'priorActors'>;

/** The rules alone, or a list of rules, attributes, and prior actors if there are any. */
function acceptedText({ contextRules, subjectAttributes, priorActors }: Accepted): string {
  if (priorActors !== undefined) return JSON.stringify([contextRules, subjectAttributes, priorActors]);
  return JSON.stringify(Object.keys(subjectAttributes).length === 0 ? contextRules : [contextRules, subjectAttributes]);
}

/** `null` if `acceptedText` did not write the value. */
function acceptedFrom(value: unknown): Accepted | null {
  if (value === '{}') return noAccepted;
  const read: unknown = JSON.parse(String(value));
  const [contextRules, subjectAttributes, priorActors]: readonly unknown[] = Array.isArray(read)
    ? read
    : [read, noAttributes];
  if (!isObject(contextRules) || !isObject(subjectAttributes)) return null;
  if (priorActors !== undefined && !(Array.isArray(priorActors) && priorActors.every(isText))) return null;
  return {
    contextRules: contextRules as Task['contextRules'],
    subjectAttributes: subjectAttributes as Task['subjectAttributes'],
    ...(priorActors === undefined ? {} : { priorActors }),
  };
}

const noAccepted: Accepted = Object.freeze({ contextRules: Object.freeze({}), subjectAttributes: noAttributes });

const nothing: Task['attested'] = Object.freeze([]);

function attestedFrom(value: unknown): Task['attested'] | null {
  if (value === '[]') return nothing;
  const read: unknown = JSON.parse(String(value));
  const isReadable =
    Array.isArray(read) && read.every((one) => isObject(one) && ATTESTED.every((member) => isText(one[member])));
  return isReadable ? read : null;
}

const ATTESTED = ['name', 'value', 'by', 'kind'] as const;

const UNREADABLE: Texts = Object.freeze({ ...noAccepted, claimed: none, attested: nothing, detailsJson: '[]' });

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
