import type { JsonValue } from '../../../core/ledger/canonical-json.ts';
import type { Declaration } from './intent.ts';
import { type OAuthError, oauthError } from '../oauth-error.ts';
import type { Origin } from './origin.ts';
import { declarationOfScope } from './scope-alone.ts';
import type { AskedDetails, TokenRequest } from './token-request.ts';

/**
 * Completes a request from its subject token, or from the task of its refresh token: absent parts are inherited. A `scope`
 * without details selects among the inherited actions. The scope of a refresh may also name other actions, which are dropped,
 * since clients repeat their first request.
 */
export function declarationFrom(request: TokenRequest, { inherited }: Origin): Declaration | OAuthError {
  const { details, refreshToken, resource } = request;
  if (inherited === null) {
    if (resource === null) return oauthError('invalid_target', 'exactly one resource is required');
    return details === null ? declarationOfScope(resource, request.scope) : { resource, details, scope: request.scope };
  }
  const own = inherited.values[0]?.locations[0];
  if (own === undefined || (resource !== null && resource !== own)) {
    return oauthError('invalid_target', 'the resource must be that of the earlier token');
  }
  if (details !== null) return { resource: own, details, scope: request.scope };
  if (request.scope === null) return { resource: own, details: inherited, scope: null };
  const picked = only(new Set(request.scope), inherited);
  const known = new Set(picked.values.flatMap(({ actions }) => actions));
  const scope = refreshToken === null ? request.scope : request.scope.filter((action) => known.has(action));
  return scope.length > 0 && scope.every((action) => known.has(action))
    ? { resource: own, details: picked, scope }
    : oauthError('invalid_scope', 'the scope is wider than that of the earlier token');
}

/** The entries reduced to these actions; entries without any are removed. */
function only(actions: ReadonlySet<string>, details: AskedDetails): AskedDetails {
  const values = details.values.map((entry) => ({ ...entry, actions: entry.actions.filter((id) => actions.has(id)) }));
  const json = details.json.map((entry, at) => ({
    // Safe: entries were parsed as objects.
    ...(entry as { readonly [name: string]: JsonValue }),
    actions: values[at]?.actions ?? [],
  }));
  const isKept = (at: number): boolean => (values[at]?.actions.length ?? 0) > 0;
  return { values: values.filter((_, at) => isKept(at)), json: json.filter((_, at) => isKept(at)) };
}
