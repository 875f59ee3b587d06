import type { JWTPayload } from 'jose';
import { UUID_RANDOM_BYTES, uuidV7 } from '../decision/uuid.ts';
import { encodedRecord, jtiDigestOf } from '../ledger/record.ts';
import type { EncodedRecord, IntentRecord, TokenRecord } from '../ledger/record.ts';
import { isStoreFailure, ledgerUnavailable } from '../store/store-failure.ts';
import type { Task } from '../task/task.ts';
import type { SpanReference } from '../token/claims.ts';
import { type Grant, grantFrom, type Judged } from './grant.ts';
import { isOAuthError, type OAuthError, oauthError } from './oauth-error.ts';
import { errorReply, jsonReply, type Reply } from './reply.ts';
import type { IssuerRequest, IssuerServices } from './services.ts';
import { isIssuable, scopeOf, tokenClaims } from './token-claims.ts';
import type { SpanAttributes } from './tracer.ts';

/**
 * `POST /oauth/token`: accepts an intent as a task and issues its first token, or refuses it. Both are traced and recorded.
 * INVARIANT: record, then sign, then reply: no token exists whose issuance is not on disk.
 */
export async function answerTokenRequest(request: IssuerRequest, services: IssuerServices): Promise<Reply> {
  const span = services.tracer.start('token.issue', {}, request.traceparent);
  let attributes: SpanAttributes = { 'remit.decision': 'deny', 'remit.reason': 'internal' };
  try {
    const judged = grantFrom(request, services);
    const draft = isOAuthError(judged.outcome) ? judged.outcome : draftOf(judged.outcome, span, services);
    const recorded = isOAuthError(draft) ? draft : record(draft, services);
    attributes = attributesOf(judged, recorded, services);
    if (isOAuthError(recorded)) return refuse(recorded, judged, { span, services });
    return replyOf(recorded, await services.signingKey.sign(recorded.claims));
  } finally {
    span.end(attributes);
  }
}

/** A token that is ready to be recorded and then signed. */
interface Draft {
  readonly grant: Grant;
  readonly task: Task;
  readonly tokenId: string;
  readonly claims: JWTPayload;
}

/** 128 random bits make a `jti` that nobody guesses. */
const JTI_BYTES = 16;

function draftOf(grant: Grant, span: SpanReference, services: IssuerServices): Draft | OAuthError {
  const { ports, settings, store } = services;
  const nowMs = store.nowMs();
  const task: Task = {
    id: uuidV7(nowMs, ports.randomBytes(UUID_RANDOM_BYTES)),
    issuer: settings.url,
    agent: grant.leaf.id,
    subject: grant.leaf.id,
    parentId: null,
    purpose: grant.intent.purpose,
    intentHash: grant.intent.hash,
    state: 'active',
    createdAtMs: nowMs,
    deadlineMs: grant.deadlineMs,
    idleMs: null,
    lastUsedMs: nowMs,
    endedAtMs: null,
    endCause: null,
    issuance: { traceId: span.traceId, spanId: span.spanId },
    detailsJson: JSON.stringify(grant.intent.details),
    context: {},
    contextRules: {},
    risk: 'low',
    generation: 1,
  };
  const tokenId = Buffer.from(ports.randomBytes(JTI_BYTES)).toString('base64url');
  const claims = tokenClaims(grant, { issuer: settings.url, taskId: task.id, tokenId, span });
  return isIssuable(claims)
    ? { grant, task, tokenId, claims }
    : oauthError('invalid_authorization_details', 'authorization_details are too large for a token');
}

/** Puts the task, its token and the records of both on disk, in one transaction. */
function record(draft: Draft, services: IssuerServices): Draft | OAuthError {
  const { grant, task } = draft;
  const token = {
    jtiDigest: jtiDigestOf(draft.tokenId),
    audience: grant.intent.server.audience,
    issuedAtMs: grant.issuedAtSeconds * 1_000,
    expiresAtMs: grant.expiresAtSeconds * 1_000,
    generation: task.generation,
    boundTo: grant.leaf.sha256,
  };
  const at = task.createdAtMs;
  const records: EncodedRecord[] = [];
  for (const entry of [
    intentRecord(
      { judged: { leaf: grant.leaf, intent: grant.intent, outcome: grant }, task, at, span: task.issuance },
      services,
    ),
    tokenRecord(task, { ...token, at }),
  ]) {
    const encoded = encodedRecord(entry);
    if ('problem' in encoded)
      return oauthError('invalid_authorization_details', 'authorization_details cannot be recorded');
    records.push(encoded);
  }
  const failure = services.store.insertTask(task, token, records);
  return isStoreFailure(failure)
    ? oauthError('temporarily_unavailable', 'the issuance could not be recorded', ledgerUnavailable(failure))
    : draft;
}

const tokenRecord = (
  task: Task,
  token: { readonly at: number; readonly jtiDigest: string; readonly audience: string; readonly expiresAtMs: number },
): TokenRecord => ({
  kind: 'token',
  at: token.at,
  task: task.id,
  agent: task.agent,
  jtiDigest: token.jtiDigest,
  audience: token.audience,
  expires: token.expiresAtMs,
  binding: 'x5t#S256',
  ...task.issuance,
});

/** The record of an intent, with the same fields where it was granted and where it was refused. */
function intentRecord(
  of: { readonly judged: Judged; readonly task: Task | null; readonly at: number; readonly span: SpanReference },
  services: IssuerServices,
): IntentRecord {
  const { leaf, intent, outcome } = of.judged;
  const isRefused = isOAuthError(outcome);
  return {
    kind: 'intent',
    at: of.at,
    task: of.task?.id ?? null,
    agent: leaf?.id ?? null,
    purpose: intent?.purpose ?? null,
    intentHash: intent?.hash ?? null,
    details: intent?.details ?? null,
    deadline: of.task?.deadlineMs ?? null,
    decision: isRefused ? 'deny' : 'allow',
    error: isRefused ? outcome.error : null,
    reason: isRefused ? (outcome.cause?.reason ?? null) : null,
    policyIds: isRefused ? (outcome.cause?.policyIds ?? []) : outcome.policyIds,
    policySet: services.policySet(),
    traceId: of.span.traceId,
    spanId: of.span.spanId,
  };
}

/** Records a refusal, as well as it can be, and answers it. */
function refuse(
  refusal: OAuthError,
  judged: Judged,
  { span, services }: { readonly span: SpanReference; readonly services: IssuerServices },
): Reply {
  const at = services.store.nowMs();
  services.append(intentRecord({ judged: { ...judged, outcome: refusal }, task: null, at, span }, services));
  return errorReply(refusal);
}

/** @see RFC 6749 section 5.1, RFC 9396 section 7 */
const replyOf = ({ grant, task }: Draft, token: string): Reply =>
  jsonReply(200, {
    access_token: token,
    token_type: 'Bearer',
    expires_in: grant.expiresAtSeconds - grant.issuedAtSeconds,
    scope: scopeOf(grant),
    authorization_details: grant.intent.details,
    txn: task.id,
  });

function attributesOf(judged: Judged, recorded: Draft | OAuthError, services: IssuerServices): SpanAttributes {
  const policySet = services.policySet();
  const { leaf, intent } = judged;
  return {
    ...(leaf === null ? {} : { 'remit.agent': leaf.id }),
    ...(intent === null ? {} : { 'remit.intent.hash': intent.hash, 'remit.server': intent.server.id }),
    ...(policySet === null ? {} : { 'remit.policy.set': policySet }),
    ...(isOAuthError(recorded) ? refusalAttributes(recorded) : grantAttributes(recorded)),
  };
}

const refusalAttributes = ({ error, status, cause }: OAuthError): SpanAttributes => ({
  'remit.decision': 'deny',
  'remit.reason': cause?.reason ?? error,
  'remit.policy.ids': [...(cause?.policyIds ?? [])],
  'http.response.status_code': status,
  'error.type': error,
});

const grantAttributes = ({ grant, task }: Draft): SpanAttributes => ({
  'remit.decision': 'allow',
  'remit.task.id': task.id,
  'remit.policy.ids': [...grant.policyIds],
  'http.response.status_code': 200,
});
