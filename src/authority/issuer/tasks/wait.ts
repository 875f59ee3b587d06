import type { RequestKind } from '../bounds/limits.ts';
import { oauthError } from '../oauth-error.ts';
import type { OAuthError } from '../oauth-error.ts';

/** What the reply to a withdrawal waits for: that no sidecar can use an older state any more, or its commit alone. */
export type Wait = 'enforced' | 'committed';

/** The query of a request; only withdrawals have a query. Default `enforced`. */
export function waitFrom(query: string | undefined, kind: RequestKind): Wait | OAuthError {
  if (query === undefined) return 'enforced';
  if (kind !== 'withdrawal') return oauthError('invalid_request', 'a query is not supported');
  if (query === 'wait=enforced') return 'enforced';
  if (query === 'wait=committed') return 'committed';
  return oauthError('invalid_request', 'the query must be `wait=enforced` or `wait=committed`');
}
