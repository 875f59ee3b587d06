import type { JWTPayload } from 'jose';
import { encodedRecord } from '../../../core/ledger/encoded-record.ts';
import type { EncodedRecord } from '../../../core/ledger/encoded-record.ts';
import { recordText } from '../../../core/ledger/record.ts';
import type { IntentRecord, TokenRecord } from '../../../core/ledger/record.ts';
import type { Premises } from '../../../core/state/writes/premises.ts';
import { isOverLimit } from '../../../core/limit/limit-spend.ts';
import type { ExceededLimit, OverLimit } from '../../../core/limit/limit-spend.ts';
import { taskLimitsFor } from '../../../core/limit/limit-spends.ts';
import { deny, isDeny } from '../../../core/decision/decision.ts';
import type { HandedOn, SpendProblem } from '../../../core/state/spend.ts';
import type { IssuedToken } from '../../../core/state/store.ts';
import { isStoreFailure, storeFailure } from '../../../core/runtime/store-failure.ts';
import { ledgerUnavailable } from '../../../core/decision/unavailable.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { Task } from '../../../core/task/task.ts';
import { authorizationDetailsFrom } from '../../../core/token/authorization-details.ts';
import type { SpanReference } from '../../../core/token/claims.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { isChanged } from './decide-anew.ts';
import type { Grant, Judged } from './grant.ts';
import { handedBudget } from './handed-budget.ts';
import { isOAuthError, type OAuthError, oauthError } from '../oauth-error.ts';
import type { TokenOrigin } from './origin.ts';
import type { ParentTask } from './own-token.ts';
import { policyHashOf } from '../services.ts';
import type { IssuerServices } from '../services.ts';

/** A token to be recorded and then signed. */
export interface Draft {
  readonly grant: Grant;
  readonly task: Task;
  readonly token: IssuedToken;
  readonly claims: JWTPayload;
}

/** The span and decision id of an issuance; reply, span and record have the same. */
export interface DecidedSpan extends SpanReference {
  /** UUIDv7. */
  readonly decisionId: string;
}

/**
 * Commits the token, a new task, and their records in a single transaction that checks the premises of the grant. Fails with the code
 * `changed`, without writing, if a premise no longer holds.
 */
export async function record(
  draft: Draft,
  span: DecidedSpan,
  services: IssuerServices,
): Promise<Draft | OAuthError | StoreFailure> {
  const { grant, task } = draft;
  const at = services.authority.nowMs();
  const records: EncodedRecord[] = [];
  const judged = { leaf: grant.leaf, intent: grant.intent, outcome: grant };
  for (const entry of [
    ...(grant.origin.place.kind === 'same-task' ? [] : [intentRecord({ judged, task, at, span }, services)]),
    tokenRecord(draft, { at, span }),
  ]) {
    const encoded = encodedRecord(entry);
    if ('problem' in encoded) {
      return oauthError('invalid_authorization_details', 'authorization_details cannot be recorded');
    }
    records.push(encoded);
  }
  return (await written(draft, records, services)) ?? draft;
}

type RecordingServices = Pick<IssuerServices, 'authority' | 'policies'>;

async function written(
  draft: Draft,
  records: readonly EncodedRecord[],
  services: RecordingServices,
): Promise<OAuthError | StoreFailure | null> {
  const { place } = draft.grant.origin;
  const problem = await inserted(draft, records, services);
  if (problem === null || isOAuthError(problem)) return problem;
  if (isOverLimit(problem)) return overLimitError(problem.over);
  if (!isStoreFailure(problem)) return handOnProblem(problem);
  if (isChanged(problem)) return problem;
  // State or generation of the task changed: judging again finds out which.
  if (problem.code === 'conflict' && place.kind === 'same-task') return storeFailure('changed', problem.detail);
  return problem.code === 'conflict' && place.kind === 'part'
    ? oauthError('invalid_request', `the subject_token cannot be used: ${problem.detail}`)
    : oauthError('temporarily_unavailable', 'the issuance could not be recorded', ledgerUnavailable(problem));
}

async function inserted(
  { grant, task, token }: Draft,
  records: readonly EncodedRecord[],
  { authority, policies }: RecordingServices,
): Promise<null | SpendProblem | OverLimit | StoreFailure | OAuthError> {
  const { place } = grant.origin;
  switch (place.kind) {
    case 'same-task':
      return authority.insertToken(task, token, records, premisesOf(place, grant.above));
    case 'new-task':
      return authority.insertTask(task, token, records, {
        tasks: [],
        ...stopIn(grant),
        ...limitsOn({ grant, task }, policies),
      });
    case 'part': {
      const handed = handedOn(place.parent, grant);
      if (isOAuthError(handed)) return handed;
      return authority.insertPart(task, token, records, handed, {
        tasks: grant.above,
        ...stopIn(grant),
        ...limitsOn({ grant, task }, policies),
      });
    }
    default:
      return place satisfies never;
  }
}

/** The limits over all tasks that a new task must be within: a part of a task counts as a task. */
function limitsOn(
  { grant, task }: Pick<Draft, 'grant' | 'task'>,
  policies: RecordingServices['policies'],
): Pick<Premises, 'limits'> {
  if (isDeny(policies) || policies.limits.length === 0) return {};
  const server = grant.intent.server.id;
  return { limits: taskLimitsFor(policies.limits, { agent: task.agent, user: task.subject, server }) };
}

const stopIn = ({ stop }: Grant): Pick<Premises, 'stop'> => (stop === null ? {} : { stop });

/** The premises of a further token: its task, the ancestors, and the exchanged token. */
const premisesOf = ({ task, from }: Extract<TokenOrigin, { kind: 'same-task' }>, above: readonly Task[]): Premises => ({
  tasks: [task, ...above],
  ...(from === null ? {} : { jtiDigest: from }),
});

/** The budget that a sub-task takes from its parent. */
function handedOn({ task, issued }: ParentTask, grant: Grant): HandedOn | OAuthError {
  const own = authorizationDetailsFrom(JSON.parse(task.detailsJson));
  const spends = isProblem(own) ? own : handedBudget(grant.intent.authority, own);
  return isProblem(spends)
    ? oauthError('invalid_authorization_details', spends.problem)
    : { jtiDigest: issued.jtiDigest, spends };
}

const handOnProblem = (problem: SpendProblem): OAuthError =>
  problem === 'ended'
    ? oauthError('invalid_request', 'the subject_token cannot be used: it was revoked, or its task has ended')
    : oauthError('invalid_authorization_details', 'the budget left of the task is too small to delegate this much');

/** The refusal of a task that a limit has no room for. */
function overLimitError({ endsMs, limit, max, measure }: ExceededLimit): OAuthError {
  const counts = measure === 'openTasks' ? 'open tasks' : 'declared tasks';
  const until = endsMs === null ? 'a task ends' : new Date(endsMs).toISOString().replace('.000Z', 'Z');
  const description = `limit \`${limit}\` allows ${max} ${counts}: not before ${until}`;
  return {
    ...oauthError('access_denied', description, deny('limit.exceeded', description)),
    reason: 'limit.exceeded',
    next: 'ask_person',
  };
}

const tokenRecord = (
  { grant, task, token }: Draft,
  { at, span }: { readonly at: number; readonly span: SpanReference },
): TokenRecord => ({
  kind: 'token',
  at,
  task: task.id,
  agent: task.agent,
  delegate: grant.delegate,
  jtiDigest: token.jtiDigest,
  audience: token.audience,
  expires: grant.expiresAtSeconds * 1_000,
  binding: grant.binding.kind,
  traceId: span.traceId,
  spanId: span.spanId,
});

const claimedText = (claimed: Task['claimed']): NonNullable<IntentRecord['claimed']> =>
  Object.fromEntries(Object.entries(claimed).map(([name, value]) => [recordText(name), recordText(value)]));

/** No member without attributes. */
const subjectAttributesOf = (task: Task | null): Pick<IntentRecord, 'subjectAttributes'> =>
  task === null || Object.keys(task.subjectAttributes).length === 0
    ? {}
    : { subjectAttributes: task.subjectAttributes };

/** The record of an intent; granted and refused intents have the same fields. */
export function intentRecord(
  of: { readonly judged: Judged; readonly task: Task | null; readonly at: number; readonly span: DecidedSpan },
  services: IssuerServices,
): IntentRecord {
  const { leaf, intent, outcome } = of.judged;
  const isRefused = isOAuthError(outcome);
  return {
    kind: 'intent',
    at: of.at,
    task: of.task?.id ?? null,
    agent: leaf?.id ?? null,
    subject: of.task?.subject ?? null,
    parent: of.task?.parentId ?? null,
    purpose: intent?.purpose ?? null,
    intentHash: intent?.hash ?? null,
    details: intent?.details ?? null,
    claimed: of.task === null ? null : claimedText(of.task.claimed),
    ...subjectAttributesOf(of.task),
    deadline: of.task?.deadlineMs ?? null,
    decision: isRefused ? 'deny' : 'allow',
    decisionId: of.span.decisionId,
    detail: isRefused ? recordText(outcome.cause?.detail ?? outcome.description) : null,
    error: isRefused ? outcome.error : null,
    reason: isRefused ? (outcome.cause?.reason ?? null) : null,
    policyIds: isRefused ? (outcome.cause?.policyIds ?? []) : outcome.policyIds,
    policySet: policyHashOf(services),
    traceId: of.span.traceId,
    spanId: of.span.spanId,
  };
}
