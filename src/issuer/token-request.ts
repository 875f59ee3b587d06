import type { JsonValue } from '../ledger/canonical-json.ts';
import { authorizationDetailsFrom } from '../token/authorization-details.ts';
import type { AuthorizationDetail } from '../token/authorization-details.ts';
import { isProblem } from '../token/members.ts';
import { strictJsonFrom } from '../token/strict-json.ts';
import type { Form } from './form.ts';
import { isOAuthError, type OAuthError, oauthError } from './oauth-error.ts';

/** What a client asks of the token endpoint, in its own words and not yet judged. */
export interface TokenRequest {
  /** The one resource the token is for. */
  readonly resource: string;
  readonly details: readonly AuthorizationDetail[];
  /** The same as the JSON that was sent; strictly read, so both say the same. */
  readonly detailsJson: readonly JsonValue[];
  /** `null` where the client asked for no scope. */
  readonly scope: readonly string[] | null;
}

/** Longest `authorization_details` read, in characters. */
const MAX_DETAILS = 16_384;

/**
 * Reads a `client_credentials` request. Parameters it does not know are ignored (RFC 6749 section 3.2), repeated ones
 * refused; the client is known by its certificate, so any other credential is a second one and refused, and so is `txn`,
 * which the issuer alone gives.
 *
 * @param clientId the SPIFFE ID of the certificate, which `client_id` must equal where it is sent
 * @see RFC 6749 section 4.4.2, RFC 8705 section 2, RFC 8707 section 2, RFC 9396 section 6
 */
export function tokenRequestFrom(form: Form, clientId: string): TokenRequest | OAuthError {
  const problem = envelopeProblem(form, clientId);
  if (problem !== null) return problem;
  const resource = resourceFrom(form);
  if (isOAuthError(resource)) return resource;
  const details = detailsFrom(form);
  if (isOAuthError(details)) return details;
  const scope = form.get('scope')?.[0];
  if (scope !== undefined && !SCOPE.test(scope)) return oauthError('invalid_scope', 'the scope is malformed');
  return { resource, ...details, scope: scope === undefined ? null : scope.split(' ') };
}

const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/;

/** What may be sent more than once; `resource` has its own error. */
const repeatable: ReadonlySet<string> = new Set(['resource']);

/** Parameters that are another way to authenticate. */
const otherCredentials = ['client_secret', 'client_assertion', 'client_assertion_type'];

function envelopeProblem(form: Form, clientId: string): OAuthError | null {
  for (const [name, values] of form) {
    if (values.length > 1 && !repeatable.has(name)) {
      return oauthError('invalid_request', `the parameter ${name} is sent more than once`);
    }
  }
  const grantType = form.get('grant_type')?.[0];
  if (grantType === undefined) return oauthError('invalid_request', 'grant_type is required');
  if (grantType !== 'client_credentials') {
    return oauthError('unsupported_grant_type', 'the grant_type must be client_credentials');
  }
  if (form.has('txn')) return oauthError('invalid_request', 'txn is given by the issuer and cannot be asked for');
  const credential = otherCredentials.find((name) => form.has(name));
  if (credential !== undefined) {
    return oauthError('invalid_request', `${credential} is a second client authentication beside the certificate`);
  }
  const sent = form.get('client_id')?.[0];
  return sent === undefined || sent === clientId
    ? null
    : oauthError('invalid_client', 'client_id must be the SPIFFE ID of the client certificate');
}

function resourceFrom(form: Form): string | OAuthError {
  const [resource, ...more] = form.get('resource') ?? [];
  if (resource === undefined) return oauthError('invalid_target', 'exactly one resource is required');
  return more.length === 0 ? resource : oauthError('invalid_target', 'a token is for exactly one resource');
}

const refused = (description: string): OAuthError => oauthError('invalid_authorization_details', description);

function detailsFrom(form: Form): Pick<TokenRequest, 'details' | 'detailsJson'> | OAuthError {
  const text = form.get('authorization_details')?.[0];
  if (text === undefined) return refused('authorization_details is required: the intent of the task');
  if (text.length > MAX_DETAILS) return refused(`authorization_details is longer than ${MAX_DETAILS} characters`);
  const json = strictJsonFrom(Buffer.from(text, 'utf8'));
  if (isProblem(json)) return refused(`authorization_details ${json.problem}`);
  const details = authorizationDetailsFrom(json.value);
  if (isProblem(details)) return refused(`authorization_details ${details.problem}`);
  // `authorizationDetailsFrom` refuses what is not an array, and the strict reader gives nothing but JSON.
  return { details, detailsJson: json.value as readonly JsonValue[] };
}
