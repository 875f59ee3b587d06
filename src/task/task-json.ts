import type { TaskState, Task } from './task.ts';
import { stateAt } from './task.ts';

/** A task as the task API and `remit task … --json` show it; instants are RFC 3339 in UTC. */
export interface TaskJson {
  readonly id: string;
  readonly issuer: string;
  readonly agent: string;
  readonly purpose: string;
  readonly intent_hash: string;
  /** The state that holds now. */
  readonly state: TaskState;
  readonly created_at: string;
  readonly deadline: string;
  readonly ended_at: string | null;
  readonly end_cause: string | null;
  readonly trace_id: string;
  readonly span_id: string;
  readonly authorization_details: unknown;
}

/** A task in the words of its JSON form. @param nowMs the store's clock */
export function taskJson(task: Task, nowMs: number): TaskJson {
  const state = stateAt(task, nowMs);
  const isUnsweptExpiry = state === 'expired' && task.endedAtMs === null;
  const endedAtMs = isUnsweptExpiry ? task.deadlineMs : task.endedAtMs;
  return {
    id: task.id,
    issuer: task.issuer,
    agent: task.agent,
    purpose: task.purpose,
    intent_hash: task.intentHash,
    state,
    created_at: new Date(task.createdAtMs).toISOString(),
    deadline: new Date(task.deadlineMs).toISOString(),
    ended_at: endedAtMs === null ? null : new Date(endedAtMs).toISOString(),
    end_cause: isUnsweptExpiry ? 'deadline reached' : task.endCause,
    trace_id: task.issuance.traceId,
    span_id: task.issuance.spanId,
    authorization_details: JSON.parse(task.detailsJson),
  };
}
