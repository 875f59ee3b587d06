import type { SpiffeId } from '../identity/spiffe-id.ts';
import type { CauseCode } from '../task/cause.ts';
import { noHistory } from '../task/history.ts';
import type { TaskHistory } from '../task/history.ts';
import type { IssuedTokenState } from '../task/issued-token.ts';
import type { Task, TaskRisk, TaskState } from '../task/task.ts';
import type { Card, Elsewhere, TaskMessage, TokenMessage } from './messages.ts';

/** A task with some of its tokens and its history, as a sidecar holds it. */
export interface HeldTask {
  readonly task: Task;
  /** Id of the root task. */
  readonly root: string;
  readonly tokens: ReadonlyMap<string, HeldToken>;
  readonly history: TaskHistory;
}

/** A token, and its earlier uses elsewhere. */
export interface HeldToken extends IssuedTokenState {
  readonly elsewhere: Elsewhere | null;
}

/** The card of a task, for the wire. */
export const cardOf = ({ task, root, tokens, history }: HeldTask): Card => ({
  task: taskMessage(task),
  root,
  tokens: [...tokens.values()].map(tokenMessage),
  history: { version: history.version, actions: history.actions, labels: history.labels },
});

/**
 * The task of a card. Throws if a JSON text of it is malformed.
 * @param card from an authority whose identity was verified
 */
export const heldTaskOf = ({ task, root, tokens, history }: Card): HeldTask => ({
  task: taskFrom(task),
  root,
  tokens: new Map(tokens.map((token) => [token.jti_digest, tokenFrom(token)])),
  history:
    history === null || history.version === 0
      ? noHistory
      : { version: history.version, actions: history.actions, labels: history.labels },
});

const taskMessage = (task: Task): TaskMessage => ({
  issuer: task.issuer,
  id: task.id,
  agent: task.agent,
  subject: task.subject,
  parent_id: task.parentId ?? '',
  purpose: task.purpose,
  intent_hash: task.intentHash,
  state: task.state,
  created_at_ms: task.createdAtMs,
  deadline_ms: task.deadlineMs,
  idle_ms: task.idleMs ?? 0,
  last_used_ms: task.lastUsedMs,
  ended_at_ms: task.endedAtMs ?? 0,
  cause: task.cause?.code ?? '',
  cause_note: task.cause?.note ?? '',
  trace_id: task.issuance.traceId,
  span_id: task.issuance.spanId,
  details_json: task.detailsJson,
  claimed_json: JSON.stringify(task.claimed),
  subject_attributes_json: JSON.stringify(task.subjectAttributes),
  attested_json: JSON.stringify(task.attested),
  context_rules_json: JSON.stringify(task.contextRules),
  risk: task.risk,
  generation: task.generation,
});

const taskFrom = (message: TaskMessage): Task => ({
  issuer: message.issuer,
  id: message.id,
  // `taskMessage` made these from values of these types.
  agent: message.agent as SpiffeId,
  state: stateFrom(message.state),
  risk: riskFrom(message.risk),
  subject: message.subject,
  parentId: message.parent_id === '' ? null : message.parent_id,
  purpose: message.purpose,
  intentHash: message.intent_hash,
  createdAtMs: message.created_at_ms,
  deadlineMs: message.deadline_ms,
  idleMs: message.idle_ms === 0 ? null : message.idle_ms,
  lastUsedMs: message.last_used_ms,
  endedAtMs: message.ended_at_ms === 0 ? null : message.ended_at_ms,
  cause: message.cause === '' ? null : { code: message.cause as CauseCode, note: message.cause_note },
  issuance: { traceId: message.trace_id, spanId: message.span_id },
  detailsJson: message.details_json,
  claimed: membersFrom(message.claimed_json),
  subjectAttributes: membersFrom(message.subject_attributes_json),
  attested: message.attested_json === '[]' ? nothing : JSON.parse(message.attested_json),
  contextRules: membersFrom(message.context_rules_json),
  generation: message.generation,
});

const nothing: Task['attested'] = Object.freeze([]);
const none: Readonly<Record<string, never>> = Object.freeze({});

/** Most tasks have no members; they share one object. */
const membersFrom = <T>(json: string): Readonly<Record<string, T>> => (json === '{}' ? none : JSON.parse(json));

/** A later version may have values that this version does not know. They are read as the most restrictive value. */
const stateFrom = (text: string): TaskState => STATES.find((state) => state === text) ?? 'suspended';
const riskFrom = (text: string): TaskRisk => RISKS.find((risk) => risk === text) ?? 'high';

const STATES = [
  'active',
  'suspended',
  'completed',
  'cancelled',
  'revoked',
  'expired',
] as const satisfies readonly TaskState[];
const RISKS = ['low', 'medium', 'high'] as const satisfies readonly TaskRisk[];

const tokenMessage = (token: HeldToken): TokenMessage => ({
  jti_digest: token.jtiDigest,
  audience: token.audience,
  issued_at_ms: token.issuedAtMs,
  expires_at_ms: token.expiresAtMs,
  generation: token.generation,
  revoked_at_ms: token.revokedAtMs ?? 0,
  bound_to: token.boundTo,
  elsewhere: token.elsewhere,
});

const tokenFrom = (message: TokenMessage): HeldToken => ({
  jtiDigest: message.jti_digest,
  audience: message.audience,
  issuedAtMs: message.issued_at_ms,
  expiresAtMs: message.expires_at_ms,
  generation: message.generation,
  revokedAtMs: message.revoked_at_ms === 0 ? null : message.revoked_at_ms,
  boundTo: message.bound_to,
  elsewhere: message.elsewhere,
});
