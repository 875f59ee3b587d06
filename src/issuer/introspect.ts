import { isDeny } from '../decision/decision.ts';
import { clientFormFrom } from './client-form.ts';
import { isOAuthError, oauthError } from './oauth-error.ts';
import { type LiveToken, liveToken, ownTokenFrom } from './own-token.ts';
import { errorReply, jsonReply, type Reply } from './reply.ts';
import type { IssuerRequest, IssuerServices } from './services.ts';

/** Claims of the token that are told as they are. */
const TOLD = [
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
 * `POST /oauth/introspect`: whether a task token of this issuer is alive now, its task with it, and what it says. A workload
 * is told about its own tokens, a configured introspector about all; everybody else, and about anything else, that it is not
 * active and no more. A state that cannot be read is 503, never an answer.
 *
 * @see RFC 7662 section 2.2, RFC 8693 section 4, RFC 8705 section 3.2, RFC 9396 section 9.2
 */
export async function answerIntrospection(request: IssuerRequest, services: IssuerServices): Promise<Reply> {
  const asked = clientFormFrom(request, services);
  if (isOAuthError(asked)) return errorReply(asked);
  const own = ownTokenFrom(asked.token, services);
  if (isDeny(own)) return own.reason === 'policy.unavailable' ? unavailable() : inactive();
  const mayKnow = own.token.clientId === asked.leaf.id || services.settings.introspectors.has(asked.leaf.id);
  if (!mayKnow) return inactive();
  const live = liveToken(own, services);
  if (!isDeny(live)) return jsonReply(200, told(live));
  return live.reason === 'task.state-unavailable' ? unavailable() : inactive();
}

const unavailable = (): Reply =>
  errorReply(oauthError('temporarily_unavailable', 'the state of the token is not available'));

function told({ claims, token }: LiveToken): Readonly<Record<string, unknown>> {
  const members = TOLD.filter((name) => Object.hasOwn(claims, name)).map((name) => [name, claims[name]] as const);
  const type = token.confirmation?.kind === 'jkt' ? 'DPoP' : 'Bearer';
  return { active: true, token_type: token.delegate === null ? type : 'N_A', ...Object.fromEntries(members) };
}
