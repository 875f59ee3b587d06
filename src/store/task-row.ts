import type { SQLOutputValue } from 'node:sqlite';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import type { Task, TaskState } from '../task/task.ts';

/** A row of `tasks`, as SQLite gives it: STRICT tables hold its types, and only `insertTask` writes one. */
export type TaskRow = Readonly<Record<string, SQLOutputValue>>;

/** The columns of `tasks`, in the order in which `valuesOf` gives them. */
export const TASK_COLUMNS =
  'issuer, id, agent, purpose, intent_hash, state, created_ms, deadline_ms, ended_ms, end_cause, trace_id, span_id, details';

/** A row as a task. */
export const taskFrom = (row: TaskRow): Task => ({
  issuer: String(row['issuer']),
  id: String(row['id']),
  // Both were of these types when `insertTask` wrote them.
  agent: String(row['agent']) as SpiffeId,
  state: String(row['state']) as TaskState,
  purpose: String(row['purpose']),
  intentHash: String(row['intent_hash']),
  createdAtMs: Number(row['created_ms']),
  deadlineMs: Number(row['deadline_ms']),
  endedAtMs: row['ended_ms'] === null ? null : Number(row['ended_ms']),
  endCause: row['end_cause'] === null ? null : String(row['end_cause']),
  issuance: { traceId: String(row['trace_id']), spanId: String(row['span_id']) },
  detailsJson: String(row['details']),
});

/** A task as the values of its row. */
export const valuesOf = (task: Task): readonly (string | number | null)[] => [
  task.issuer,
  task.id,
  task.agent,
  task.purpose,
  task.intentHash,
  task.state,
  task.createdAtMs,
  task.deadlineMs,
  task.endedAtMs,
  task.endCause,
  task.issuance.traceId,
  task.issuance.spanId,
  task.detailsJson,
];
