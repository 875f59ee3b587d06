/** `POST /oauth/revoke`: revokes a token of the client, or its whole task. */
import { isDeny } from '../../../core/decision/decision.ts';
import type { ReceiptedChange } from '../../../core/fleet/receipt.ts';
import type { SpiffeId } from '../../../core/identity/spiffe-id.ts';
import { jtiDigestOf } from '../../../core/token/jti-digest.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import { causeOf } from '../../../core/task/cause.ts';
import type { Task } from '../../../core/task/task.ts';
import type { TaskToken } from '../../../core/token/claims.ts';
import { clientFormFrom, type ClientForm } from '../client/client-form.ts';
import { enforcementOf } from '../tasks/enforcement.ts';
import { isOAuthError, type OAuthError, oauthError } from '../oauth-error.ts';
import { signedTokenFrom, UNAVAILABLE } from '../token/own-token.ts';
import { refreshedTaskId } from '../token/refresh-token.ts';
import { errorReply, jsonReply, type Reply } from '../reply.ts';
import type { IssuerRequest, IssuerServices } from '../services.ts';
import { type SpanAttributes, UNFINISHED } from '../tracer.ts';

/** The `token_type_hint` that revokes the whole task; `token` is then its id or any of its tokens. */
const TASK_HINT = 'urn:remit:task';

/** What a revocation has ended, now or before, with what its receipt is about. */
interface Revoked {
  readonly task: Pick<Task, 'issuer' | 'id' | 'parentId' | 'agent'>;
  readonly change: ReceiptedChange;
}

/**
 * `POST /oauth/revoke`: revokes a token of the client, or with the hint `urn:remit:task` its task with all tokens and sub-tasks; committed
 * before the reply. A refresh token revokes its task. A token of another client is refused.
 *
 * The reply is 200 with `revoked`: `true` if the token or task was found and is dead from now on, even if it was dead before; `false` if
 * there was nothing to revoke, such as an unknown token. INVARIANT: no clock decides. Signature, issuer and client are verified, and no time,
 * so that neither an expired token nor a wrong clock leaves a task alive behind a 200.
 *
 * @see RFC 7009 section 2
 */
export async function answerRevocation(request: IssuerRequest, services: IssuerServices): Promise<Reply> {
  const span = services.tracer.start('token.revoke', {}, request.traceparent);
  let attributes: SpanAttributes = UNFINISHED;
  try {
    const asked = clientFormFrom(request, services);
    const revoked = isOAuthError(asked) ? asked : await revoke(asked, services);
    attributes = attributesOf(revoked);
    if (revoked === null) return jsonReply(200, { revoked: false });
    if (isOAuthError(revoked)) return errorReply(revoked);
    return jsonReply(200, { revoked: true, ...(await enforcementOf(revoked, request, services)) });
  } finally {
    span.end(attributes);
  }
}

function attributesOf(revoked: Revoked | OAuthError | null): SpanAttributes {
  if (revoked === null) return {};
  return isOAuthError(revoked)
    ? { 'error.type': revoked.error }
    : { 'remit.agent': revoked.task.agent, 'remit.task.id': revoked.task.id };
}

/** `null` if there is nothing to revoke. */
async function revoke(
  { leaf, form, token }: ClientForm,
  services: IssuerServices,
): Promise<Revoked | OAuthError | null> {
  const isTask = form.get('token_type_hint')?.[0] === TASK_HINT;
  if (isTask && TASK_ID.test(token)) return revokeTask(token, leaf.id, services);
  const refreshed = refreshedTaskId(token);
  if (refreshed !== null) return revokeTask(refreshed, leaf.id, services);
  const own = signedTokenFrom(token, services);
  if (isDeny(own)) {
    return UNAVAILABLE.has(own.reason)
      ? oauthError('temporarily_unavailable', 'the token could not be verified', own)
      : null;
  }
  if (own.clientId !== leaf.id) return oauthError('invalid_grant', 'the token was issued to another client');
  return isTask ? revokeTask(own.taskId, leaf.id, services) : revokeToken(own, services);
}

const TASK_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const CAUSE = causeOf('agent.revoked');

async function revokeToken(
  { clientId, issuer, taskId, tokenId }: TaskToken,
  { authority }: IssuerServices,
): Promise<Revoked | OAuthError | null> {
  const task = await authority.taskOf(issuer, taskId);
  if (isStoreFailure(task)) return unavailable(task);
  if (task === undefined) return null;
  const done = await authority.revokeToken(jtiDigestOf(tokenId), CAUSE, clientId);
  if (isStoreFailure(done)) return unavailable(done);
  return done ? { task, change: 'token-revoked' } : null;
}

/** Changes nothing of an ended task, whose tokens are dead; finds nothing for a task of another agent. */
async function revokeTask(
  id: string,
  agent: SpiffeId,
  { authority, settings }: IssuerServices,
): Promise<Revoked | OAuthError | null> {
  const task = await authority.taskOf(settings.url, id);
  if (isStoreFailure(task)) return unavailable(task);
  if (task?.agent !== agent) return null;
  const done = await authority.applyTaskEvent(task, { kind: 'revoke', cause: CAUSE }, agent);
  if (isStoreFailure(done)) return unavailable(done);
  if (done === undefined) return null;
  return { task, change: 'problem' in done ? done.state : done.task.state };
}

const unavailable = (_failure: StoreFailure): OAuthError =>
  oauthError('temporarily_unavailable', 'the revocation could not be recorded');
