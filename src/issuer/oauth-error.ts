import type { Deny } from '../decision/decision.ts';

/** The `error` codes of the issuer and the HTTP status each is answered with. */
const statusOf = {
  invalid_request: 400,
  invalid_client: 401,
  invalid_grant: 400,
  unsupported_grant_type: 400,
  invalid_scope: 400,
  invalid_target: 400,
  invalid_authorization_details: 400,
  invalid_dpop_proof: 400,
  access_denied: 403,
  not_found: 404,
  method_not_allowed: 405,
  task_ended: 409,
  task_suspended: 409,
  slow_down: 429,
  server_error: 500,
  temporarily_unavailable: 503,
} as const;

/** A request that is refused. */
export interface OAuthError {
  readonly kind: 'oauth-error';
  /** @see RFC 6749 section 5.2, RFC 8707 section 2, RFC 9396 section 5, RFC 9449 section 5 */
  readonly error: keyof typeof statusOf;
  readonly status: number;
  /** For the developer of the client: printable ASCII without quotes and backslashes, at most 300 characters. */
  readonly description: string;
  /** What refused it, for the record; never sent. */
  readonly cause: Deny | null;
}

const MAX_DESCRIPTION = 300;

/** A refusal; a description that repeats the client's words is made fit for the wire here. */
export const oauthError = (error: OAuthError['error'], description: string, cause: Deny | null = null): OAuthError => ({
  kind: 'oauth-error',
  error,
  status: statusOf[error],
  description: description.replaceAll(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, "'").slice(0, MAX_DESCRIPTION),
  cause,
});

/** Whether a step refused the request. */
export const isOAuthError = (value: unknown): value is OAuthError =>
  typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'oauth-error';
