import { isDeny } from '../../../core/decision/decision.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import { clientFormFrom } from '../client/client-form.ts';
import type { ClientForm } from '../client/client-form.ts';
import type { Task } from '../../../core/task/task.ts';
import { ancestorsOf } from '../token/ancestors.ts';
import { taskRefused } from '../token/stopped-order.ts';
import { isOAuthError, oauthError } from '../oauth-error.ts';
import { type LiveToken, liveToken, ownTokenFrom, UNAVAILABLE } from '../token/own-token.ts';
import { refreshedTask, refreshedTaskId } from '../token/refresh-token.ts';
import { errorReply, jsonReply, type Reply } from '../reply.ts';
import type { IssuerRequest, IssuerServices } from '../services.ts';

/** Claims that are copied into the response. */
const DISCLOSED = [
  'iss',
  'sub',
  'aud',
  'client_id',
  'iat',
  'exp',
  'jti',
  'txn',
  'scope',
  'authorization_details',
  'cnf',
  'act',
  'may_act',
];

const inactive = (): Reply => jsonReply(200, { active: false });

/**
 * `POST /oauth/introspect`: whether a task token of this issuer and its task are alive, with the token's claims. A workload may
 * introspect its own tokens, a configured introspector all tokens; for anything else the response is `{"active": false}`. An
 * unreadable state is answered 503.
 *
 * @see RFC 7662 section 2.2, RFC 8693 section 4, RFC 8705 section 3.2, RFC 9396 section 9.2
 */
export async function answerIntrospection(request: IssuerRequest, services: IssuerServices): Promise<Reply> {
  const asked = clientFormFrom(request, services);
  if (isOAuthError(asked)) return errorReply(asked);
  if (refreshedTaskId(asked.token) !== null) return introspectedRefresh(asked, services);
  const own = ownTokenFrom(asked.token, services);
  if (isDeny(own)) return UNAVAILABLE.has(own.reason) ? unavailable() : inactive();
  const mayKnow = own.token.clientId === asked.leaf.id || services.settings.introspectors.has(asked.leaf.id);
  if (!mayKnow) return inactive();
  const live = await liveToken(own, services);
  if (!isDeny(live)) return (await stoppedReply(live.task, services)) ?? jsonReply(200, activeResponse(live));
  return UNAVAILABLE.has(live.reason) ? unavailable() : inactive();
}

/** A refresh token is alive while its task is active. */
async function introspectedRefresh({ leaf, token }: ClientForm, services: IssuerServices): Promise<Reply> {
  const task = await refreshedTask(token, leaf, services);
  if (isStoreFailure(task)) return unavailable();
  if (isOAuthError(task)) return inactive();
  const stopped = await stoppedReply(task, services);
  if (stopped !== null) return stopped;
  const { agent, deadlineMs, id, issuer, subject } = task;
  const exp = Math.floor(deadlineMs / 1_000);
  return jsonReply(200, { active: true, iss: issuer, sub: subject, client_id: agent, exp, txn: id });
}

/** The reply for a token of a task that a stop concerns: it is not alive while that lasts. `null` if none does. */
async function stoppedReply(task: Task, services: IssuerServices): Promise<Reply | null> {
  const above = await ancestorsOf(task, services.authority);
  if (isStoreFailure(above)) return unavailable();
  const refusal = await taskRefused(task, above, services);
  if (refusal === null) return null;
  return refusal.error === 'temporarily_unavailable' ? unavailable() : inactive();
}

const unavailable = (): Reply =>
  errorReply(oauthError('temporarily_unavailable', 'the state of the token is not available'));

function activeResponse({ claims, token }: LiveToken): Readonly<Record<string, unknown>> {
  const members = DISCLOSED.filter((name) => Object.hasOwn(claims, name)).map((name) => [name, claims[name]] as const);
  const type = token.confirmation?.kind === 'jkt' ? 'DPoP' : 'Bearer';
  return { active: true, token_type: token.delegate === null ? type : 'N_A', ...Object.fromEntries(members) };
}
