import { isProblem } from '../../../core/runtime/problem.ts';
import { AUTHORIZATION_DETAILS_TYPE, authorizationDetailsFrom } from '../../../core/token/authorization-details.ts';
import type { Declaration } from './intent.ts';
import { type OAuthError, oauthError } from '../oauth-error.ts';
import type { Origin } from './origin.ts';
import type { TokenRequest } from './token-request.ts';

/**
 * Whether the intent is a `scope` alone: most OAuth clients cannot send `authorization_details`. Some ask for all of `scopes_supported`, so
 * policies may grant a part.
 *
 * @see RFC 6749 section 3.3
 */
export const isScopeAlone = (
  { details, scope }: Pick<TokenRequest, 'details' | 'scope'>,
  { inherited }: Pick<Origin, 'inherited'>,
): boolean => details === null && scope !== null && inherited === null;

/** The declaration of a scope alone: a single entry with its actions, without purpose and constraints. Policies see it as such. */
export function declarationOfScope(resource: string, scope: TokenRequest['scope']): Declaration | OAuthError {
  if (scope === null) {
    const description = 'authorization_details or scope is required: the intent of the task';
    return oauthError('invalid_authorization_details', description);
  }
  const json = [{ type: AUTHORIZATION_DETAILS_TYPE, locations: [resource], actions: [...new Set(scope)] }];
  const values = authorizationDetailsFrom(json);
  return isProblem(values)
    ? oauthError('invalid_scope', `the scope, as authorization_details, ${values.problem}`)
    : { resource, details: { values, json }, scope: null };
}

/** The refusal of a scope alone, which was judged as the equivalent details. */
export const scopeRefusal = (refusal: OAuthError): OAuthError =>
  refusal.error === 'invalid_authorization_details'
    ? oauthError('invalid_scope', refusal.description, refusal.cause)
    : refusal;
