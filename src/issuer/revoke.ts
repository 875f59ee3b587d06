import { isDeny } from '../decision/decision.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { jtiDigestOf } from '../ledger/record.ts';
import { isStoreFailure } from '../sqlite/store-failure.ts';
import type { StoreFailure } from '../sqlite/store-failure.ts';
import { causeOf } from '../task/cause.ts';
import type { Task } from '../task/task.ts';
import { clientFormFrom, type ClientForm } from './client-form.ts';
import { enforcementOf } from './enforcement.ts';
import { isOAuthError, type OAuthError, oauthError } from './oauth-error.ts';
import { ownTokenFrom, UNAVAILABLE } from './own-token.ts';
import { refreshedTaskId } from './refresh-token.ts';
import { errorReply, jsonReply, type Reply } from './reply.ts';
import type { IssuerRequest, IssuerServices } from './services.ts';
import { UNFINISHED } from './tracer.ts';

/** The `token_type_hint` that revokes the whole task; `token` is then its id or one of its tokens. */
const TASK_HINT = 'urn:remit:task';

/** Span attributes of a revocation. */
type Revoked = Readonly<Record<string, string>>;

/**
 * `POST /oauth/revoke`: revokes a token of the client, or with the hint `urn:remit:task` its task with all tokens and
 * sub-tasks; committed before the reply. A refresh token stands for its task. An unknown, expired or revoked token is answered 200 too. A live token of another
 * client is refused.
 *
 * @see RFC 7009 section 2
 */
export async function answerRevocation(request: IssuerRequest, services: IssuerServices): Promise<Reply> {
  const span = services.tracer.start('token.revoke', {}, request.traceparent);
  let attributes: Revoked = UNFINISHED;
  try {
    const asked = clientFormFrom(request, services);
    const revoked = isOAuthError(asked) ? asked : await revoke(asked, services);
    attributes = isOAuthError(revoked) ? { 'error.type': revoked.error } : revoked;
    if (isOAuthError(revoked)) return errorReply(revoked);
    const task = await taskOf(revoked, services);
    const change = task?.state === 'revoked' ? 'revoked' : 'token-revoked';
    return jsonReply(200, await enforcementOf({ task, change }, request, services));
  } finally {
    span.end(attributes);
  }
}

async function revoke({ leaf, form, token }: ClientForm, services: IssuerServices): Promise<Revoked | OAuthError> {
  const isTask = form.get('token_type_hint')?.[0] === TASK_HINT;
  if (isTask && TASK_ID.test(token)) return revokeTask(token, leaf.id, services);
  const refreshed = refreshedTaskId(token);
  if (refreshed !== null) return revokeTask(refreshed, leaf.id, services);
  const own = ownTokenFrom(token, services);
  if (isDeny(own)) {
    return UNAVAILABLE.has(own.reason)
      ? oauthError('temporarily_unavailable', 'the token could not be verified', own)
      : {};
  }
  if (own.token.clientId !== leaf.id) {
    return oauthError('invalid_grant', 'the token was issued to another client');
  }
  return isTask
    ? revokeTask(own.token.taskId, leaf.id, services)
    : revokeToken(jtiDigestOf(own.token.tokenId), { by: leaf.id, taskId: own.token.taskId }, services);
}

const TASK_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const CAUSE = causeOf('agent.revoked');

async function revokeToken(
  jtiDigest: string,
  { by, taskId }: { readonly by: SpiffeId; readonly taskId: string },
  { authority }: IssuerServices,
): Promise<Revoked | OAuthError> {
  const done = await authority.revokeToken(jtiDigest, CAUSE, by);
  return isStoreFailure(done) ? unavailable(done) : { 'remit.agent': by, 'remit.task.id': taskId };
}

/** The task of a revocation that had one. */
async function taskOf(revoked: Revoked, { authority, settings }: IssuerServices): Promise<Task | null> {
  const id = revoked['remit.task.id'];
  const task = id === undefined ? undefined : await authority.taskOf(settings.url, id);
  return task === undefined || isStoreFailure(task) ? null : task;
}

/** Does nothing for a task of another agent and for an ended task. */
async function revokeTask(
  id: string,
  agent: SpiffeId,
  { authority, settings }: IssuerServices,
): Promise<Revoked | OAuthError> {
  const task = await authority.taskOf(settings.url, id);
  if (isStoreFailure(task)) return unavailable(task);
  if (task?.agent !== agent) return {};
  const done = await authority.applyTaskEvent(task, { kind: 'revoke', cause: CAUSE }, agent);
  return isStoreFailure(done) ? unavailable(done) : { 'remit.agent': agent, 'remit.task.id': id };
}

const unavailable = (_failure: StoreFailure): OAuthError =>
  oauthError('temporarily_unavailable', 'the revocation could not be recorded');
