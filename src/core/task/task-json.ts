import type { SubjectAttributes } from './subject-attributes.ts';
import type { Attestation } from './attestation.ts';
import type { ContextEffect, Task, TaskRisk, TaskState } from './task.ts';
import type { CauseCode } from './cause.ts';
import { causeAt, expiryOf, stateAt } from './task.ts';

/** A task as the task API and `remit task … --json` show it. Instants are RFC 3339 in UTC. */
export interface TaskJson {
  readonly id: string;
  readonly issuer: string;
  readonly agent: string;
  readonly subject: string;
  /** The parent task. */
  readonly parent: string | null;
  readonly purpose: string;
  readonly intent_hash: string;
  /** The effective state now. */
  readonly state: TaskState;
  readonly created_at: string;
  readonly deadline: string;
  readonly idle_seconds: number | null;
  readonly last_used_at: string;
  readonly ended_at: string | null;
  /** The code of what suspended or ended it; `null` while active. */
  readonly cause: CauseCode | null;
  /** The same in words, for people only. */
  readonly cause_note: string | null;
  readonly trace_id: string;
  readonly span_id: string;
  readonly authorization_details: unknown;
  /** Attributes of the subject, from its subject token. */
  readonly subject_attributes: SubjectAttributes;
  /** Values claimed by the agent itself. */
  readonly claimed: Readonly<Record<string, string>>;
  /** Values attested by others, each with its attester. */
  readonly attested: readonly Attestation[];
  readonly context_rules: Readonly<Record<string, ContextEffect>>;
  readonly risk: TaskRisk;
  readonly generation: number;
}

/** A task in its JSON form. @param nowMs the store's clock */
export function taskJson(task: Task, nowMs: number): TaskJson {
  const state = stateAt(task, nowMs);
  const isUnsweptExpiry = state === 'expired' && task.endedAtMs === null;
  const endedAtMs = isUnsweptExpiry ? expiryOf(task).atMs : task.endedAtMs;
  const cause = causeAt(task, nowMs);
  return {
    id: task.id,
    issuer: task.issuer,
    agent: task.agent,
    subject: task.subject,
    parent: task.parentId,
    purpose: task.purpose,
    intent_hash: task.intentHash,
    state,
    created_at: instant(task.createdAtMs),
    deadline: instant(task.deadlineMs),
    idle_seconds: task.idleMs === null ? null : task.idleMs / 1_000,
    last_used_at: instant(task.lastUsedMs),
    ended_at: endedAtMs === null ? null : instant(endedAtMs),
    cause: cause?.code ?? null,
    cause_note: cause?.note ?? null,
    trace_id: task.issuance.traceId,
    span_id: task.issuance.spanId,
    authorization_details: JSON.parse(task.detailsJson),
    subject_attributes: task.subjectAttributes,
    claimed: task.claimed,
    attested: task.attested,
    context_rules: task.contextRules,
    risk: task.risk,
    generation: task.generation,
  };
}

const instant = (ms: number): string => new Date(ms).toISOString();
