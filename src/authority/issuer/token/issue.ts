/** Issues what was granted: signs the token once its records are on disk, and replies. */
import { UUID_RANDOM_BYTES, uuidV7 } from '../../../core/decision/uuid.ts';
import { jtiDigestOf } from '../../../core/token/jti-digest.ts';
import { recordText } from '../../../core/ledger/record.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { Task } from '../../../core/task/task.ts';
import type { SpanReference } from '../../../core/token/claims.ts';
import { decidedAnew } from './decide-anew.ts';
import { type Grant, type Judge, type Judged, judgeOf } from './grant.ts';
import type { Intent } from './intent.ts';
import { isOAuthError, type OAuthError, oauthError } from '../oauth-error.ts';
import { type DecidedSpan, type Draft, intentRecord, record } from './recorded-issuance.ts';
import { errorReply, jsonReply, type Reply } from '../reply.ts';
import { refreshTokenOf } from './refresh-token.ts';
import { policyHashOf } from '../services.ts';
import type { IssuerRequest, IssuerServices } from '../services.ts';
import { orderRefusal } from './stopped-order.ts';
import { tokenTypes } from './subject-issuer.ts';
import { audienceOf, isIssuable, scopeOf, tokenClaims } from './token-claims.ts';
import { type SpanAttributes, UNFINISHED } from '../tracer.ts';

/**
 * `POST /oauth/token`: accepts an intent as a task and issues its first token, or issues a further token of a task, or refuses.
 * Each outcome is traced and recorded.
 */
export const answerTokenRequest = (request: IssuerRequest, services: IssuerServices): Promise<Reply> =>
  answerWithToken(() => judgeOf(request, services), request, services);

/**
 * Replies with the granted token, or with the refusal. `begin` is called once and returns the refusal or a `Judge`, which is
 * called again if its premises changed before the token was recorded.
 *
 * INVARIANT: record, then sign, then reply: no token exists whose issuance is not on disk.
 */
export async function answerWithToken(
  begin: () => Promise<Judge | Judged>,
  request: Pick<IssuerRequest, 'traceparent'>,
  services: IssuerServices,
): Promise<Reply> {
  const decisionId = uuidV7(services.authority.nowMs(), services.ports.randomBytes(UUID_RANDOM_BYTES));
  const span = services.tracer.start('token.issue', { 'remit.decision.id': decisionId }, request.traceparent);
  const decided = { traceId: span.traceId, spanId: span.spanId, decisionId };
  let attributes: SpanAttributes = { 'remit.decision': 'deny', ...UNFINISHED };
  try {
    // INVARIANT: the key is chosen before the record, so that no recorded token fails for lack of a key.
    const unsigned = services.signingKeys.problem();
    if (unsigned !== null) {
      const refusal = oauthError('temporarily_unavailable', unsigned);
      attributes = attributesOf(refusedFor(refusal), refusal, services);
      return refuse(refusal, refusedFor(refusal), { span: decided, services });
    }
    const key = services.signingKeys.current();
    const begun = await begin();
    const judge = typeof begun === 'function' ? begun : () => Promise.resolve(begun);
    const { judged, recorded } = await issuedBy(judge, decided, services);
    attributes = attributesOf(judged, recorded, services);
    if (isOAuthError(recorded)) return refuse(recorded, judged, { span: decided, services });
    // A stop that was committed meanwhile: what is recorded is never signed.
    const stopped = await orderRefusal(recorded.grant, services);
    if (stopped !== null) {
      attributes = attributesOf(judged, stopped, services);
      return refuse(stopped, judged, { span: decided, services });
    }
    const token = await key.sign(recorded.claims);
    if (recorded.grant.delegate === null) services.onSigned?.(token, key);
    return replyOf(recorded, token);
  } finally {
    span.end(attributes);
  }
}

/** The last judgement and its recorded outcome. */
interface Issuance {
  readonly judged: Judged;
  readonly recorded: Draft | OAuthError;
}

/** Judges and records; repeats both if the premises changed before the commit. */
async function issuedBy(judge: Judge, span: DecidedSpan, services: IssuerServices): Promise<Issuance> {
  let judged: Judged = refusedFor(beingChanged);
  const recorded = await decidedAnew(async () => {
    const outcome = await judge();
    if (isStoreFailure(outcome)) return outcome;
    judged = outcome;
    const draft = isOAuthError(judged.outcome) ? judged.outcome : draftOf(judged.outcome, span, services);
    return isOAuthError(draft) ? draft : record(draft, span, services);
  });
  return { judged, recorded: isStoreFailure(recorded) ? beingChanged : recorded };
}

const refusedFor = (outcome: OAuthError): Judged => ({ leaf: null, intent: null, outcome });

const beingChanged = oauthError('temporarily_unavailable', 'the task was changed concurrently');

/** 128 random bits make a `jti` unguessable. */
const JTI_BYTES = 16;

function draftOf(grant: Grant, span: SpanReference, services: IssuerServices): Draft | OAuthError {
  const { ports, settings } = services;
  const { place } = grant.origin;
  const task = place.kind === 'same-task' ? place.task : newTask(grant, span, services);
  const tokenId = Buffer.from(ports.randomBytes(JTI_BYTES)).toString('base64url');
  const claims = tokenClaims(grant, { issuer: settings.url, task, tokenId });
  const token = {
    jtiDigest: jtiDigestOf(tokenId),
    audience: audienceOf(grant, settings.url),
    issuedAtMs: grant.issuedAtSeconds * 1_000,
    expiresAtMs: grant.tokenEndMs,
    generation: task.generation,
    boundTo: grant.binding.thumbprint,
  };
  return isIssuable(claims)
    ? { grant, task, token, claims }
    : oauthError('invalid_authorization_details', 'authorization_details are too large for a token');
}

function newTask(grant: Grant, span: SpanReference, { authority, ports, settings }: IssuerServices): Task {
  const { actors, place, subject, subjectAttributes } = grant.origin;
  // The first is the agent. Those of a part are found through its ancestors.
  const priorActors = place.kind === 'new-task' ? actors.slice(1) : [];
  const parent = place.kind === 'part' ? place.parent.task : null;
  const nowMs = authority.floorMs();
  return {
    id: uuidV7(nowMs, ports.randomBytes(UUID_RANDOM_BYTES)),
    issuer: settings.url,
    agent: grant.leaf.id,
    subject,
    parentId: parent?.id ?? null,
    purpose: grant.intent.purpose,
    intentHash: grant.intent.hash,
    state: 'active',
    createdAtMs: nowMs,
    deadlineMs: grant.deadlineMs,
    idleMs: idleMsOf(settings.idleSeconds, parent?.idleMs ?? null),
    lastUsedMs: nowMs,
    endedAtMs: null,
    cause: null,
    issuance: { traceId: span.traceId, spanId: span.spanId },
    detailsJson: JSON.stringify(grant.intent.details),
    claimed: grant.claimed,
    subjectAttributes,
    ...(priorActors.length === 0 ? {} : { priorActors }),
    // Sub-tasks too: the parent's values were attested of another agent.
    attested: [],
    contextRules: settings.contextRules,
    risk: parent?.risk ?? 'low',
    generation: 1,
  };
}

/** The shorter of the operator's limit and the parent's. */
function idleMsOf(idleSeconds: number | null, parentMs: number | null): number | null {
  const limits = [idleSeconds === null ? null : idleSeconds * 1_000, parentMs].filter((limit) => limit !== null);
  return limits.length === 0 ? null : Math.min(...limits);
}

/** Records a refusal (best effort) and replies with its decision id. */
function refuse(
  refusal: OAuthError,
  judged: Judged,
  { span, services }: { readonly span: DecidedSpan; readonly services: IssuerServices },
): Reply {
  const at = services.authority.nowMs();
  services.append(intentRecord({ judged: { ...judged, outcome: refusal }, task: null, at, span }, services));
  return errorReply(refusal, { recorded: { decision: span.decisionId, trace: span.traceId } });
}

/**
 * A token issued for a delegate is not accepted by any resource, so its `issued_token_type` is not that of an access token, and it comes without
 * a refresh token.
 *
 * @see RFC 6749 section 5.1, RFC 8693 section 2.2.1, RFC 9396 section 7, RFC 9449 section 5
 */
function replyOf({ grant, task }: Draft, token: string): Reply {
  const isForDelegate = grant.delegate !== null;
  const type = grant.binding.kind === 'jkt' ? 'DPoP' : 'Bearer';
  return jsonReply(200, {
    access_token: token,
    ...(grant.isExchange ? { issued_token_type: isForDelegate ? tokenTypes.jwt : tokenTypes.accessToken } : {}),
    token_type: isForDelegate ? 'N_A' : type,
    expires_in: grant.expiresAtSeconds - grant.issuedAtSeconds,
    scope: scopeOf(grant),
    authorization_details: grant.intent.details,
    txn: task.id,
    ...(isForDelegate ? {} : { refresh_token: refreshTokenOf(task.id) }),
  });
}

function attributesOf(judged: Judged, recorded: Draft | OAuthError, services: IssuerServices): SpanAttributes {
  const policySet = policyHashOf(services);
  const { leaf, intent } = judged;
  return {
    ...(leaf === null ? {} : { 'remit.agent': leaf.id }),
    ...(intent === null ? {} : intentAttributes(intent)),
    ...(policySet === null ? {} : { 'remit.policy.set': policySet }),
    ...(isOAuthError(recorded) ? refusalAttributes(recorded) : grantAttributes(recorded)),
  };
}

const intentAttributes = ({ actions, hash, purpose, server }: Intent): SpanAttributes => ({
  'remit.intent.hash': hash,
  'remit.intent.purpose': recordText(purpose),
  'remit.intent.actions': actions.map(({ id }) => id),
  'remit.server': server.id,
});

const refusalAttributes = ({ error, status, cause, description }: OAuthError): SpanAttributes => ({
  'remit.decision': 'deny',
  'remit.reason': cause?.reason ?? error,
  'remit.detail': recordText(cause?.detail ?? description),
  'remit.policy.ids': [...(cause?.policyIds ?? [])],
  'http.response.status_code': status,
  'error.type': error,
});

const grantAttributes = ({ grant, task }: Draft): SpanAttributes => ({
  'remit.decision': 'allow',
  'remit.task.id': task.id,
  ...(task.parentId === null ? {} : { 'remit.task.parent_id': task.parentId }),
  ...(grant.origin.place.kind === 'part' ? { 'remit.task.delegated_by': grant.origin.place.parent.task.agent } : {}),
  ...(grant.delegate === null ? {} : { 'remit.token.delegate': grant.delegate }),
  'remit.task.deadline': new Date(task.deadlineMs).toISOString(),
  'remit.token.lifetime_seconds': grant.expiresAtSeconds - grant.issuedAtSeconds,
  'remit.policy.ids': [...grant.policyIds],
  'http.response.status_code': 200,
});
