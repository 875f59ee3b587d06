/** Errors of OAuth: the closed list of codes with their HTTP status. */
import type { Deny } from '../../core/decision/decision.ts';
import type { NextStep } from '../../core/decision/next-step.ts';
import type { ReasonCode } from '../../core/decision/reasons.ts';

/** The issuer's `error` codes with their HTTP statuses. */
const statusOf = {
  invalid_request: 400,
  invalid_client: 401,
  invalid_grant: 400,
  unsupported_grant_type: 400,
  unsupported_response_type: 400,
  invalid_scope: 400,
  invalid_target: 400,
  invalid_authorization_details: 400,
  invalid_dpop_proof: 400,
  use_dpop_nonce: 400,
  access_denied: 403,
  not_found: 404,
  method_not_allowed: 405,
  task_ended: 409,
  task_suspended: 409,
  slow_down: 429,
  server_error: 500,
  temporarily_unavailable: 503,
} as const;

/** The refusal of a request. */
export interface OAuthError {
  readonly kind: 'oauth-error';
  /** @see RFC 6749 section 5.2, RFC 8707 section 2, RFC 9396 section 5, RFC 9449 section 5 */
  readonly error: keyof typeof statusOf;
  readonly status: number;
  /** For developers of clients: printable ASCII without quotes and backslashes, at most 300 characters. */
  readonly description: string;
  /** The denial behind it, for the record; never sent. */
  readonly cause: Deny | null;
  /** The nonce for the next proof, in the header `DPoP-Nonce`. @see RFC 9449 section 8 */
  readonly nonce?: string;
  /** The header `WWW-Authenticate`, for a client that sent the header `authorization`. @see RFC 6749 section 5.2 */
  readonly challenge?: string;
  /** The reason of Remit, if a denied call would have the same; absent otherwise. */
  readonly reason?: ReasonCode;
  /** What the client can do now, as the member `next` of a denied call; absent if the `error` implies it. */
  readonly next?: NextStep;
}

const MAX_DESCRIPTION = 300;

/** Creates a refusal. Characters that are not allowed in `error_description` are replaced by `'`. */
export const oauthError = (error: OAuthError['error'], description: string, cause: Deny | null = null): OAuthError => ({
  kind: 'oauth-error',
  error,
  status: statusOf[error],
  description: description.replaceAll(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, "'").slice(0, MAX_DESCRIPTION),
  cause,
});

/** Whether a value is a refusal. */
export const isOAuthError = (value: unknown): value is OAuthError =>
  typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'oauth-error';
