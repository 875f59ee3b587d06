import { isDeny } from '../../../core/decision/decision.ts';
import { type SpiffeId, spiffeIdFrom } from '../../../core/identity/spiffe-id.ts';
import type { JsonValue } from '../../../core/ledger/canonical-json.ts';
import { type NamedValues, namedValuesFrom } from '../../../core/task/named-values.ts';
import { authorizationDetailsFrom } from '../../../core/token/authorization-details.ts';
import type { AuthorizationDetail } from '../../../core/token/authorization-details.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { strictJsonFrom } from '../../../core/token/jose/strict-json.ts';
import type { Form } from '../form.ts';
import { isOAuthError, type OAuthError, oauthError } from '../oauth-error.ts';
import { tokenTypes } from './subject-issuer.ts';

/** Entries of `authorization_details`, parsed and as JSON. Strict parsing makes both equivalent. */
export interface AskedDetails {
  readonly values: readonly AuthorizationDetail[];
  readonly json: readonly JsonValue[];
}

/** A `subject_token` with its type. */
export interface AskedSubject {
  readonly token: string;
  /** Its `subject_token_type`. */
  readonly type: string;
}

/** A parsed token request, not yet judged. */
export interface TokenRequest {
  /** `null` without a token exchange. */
  readonly subject: AskedSubject | null;
  /** The `refresh_token`, unchecked, which asks for a further token of its task; `null` with other grants. */
  readonly refreshToken: string | null;
  /** The resource that the token is for; `null` if an exchange or a refresh leaves it to the earlier token. */
  readonly resource: string | null;
  /** `null` if `scope` alone is the intent, or an exchange or a refresh leaves them to the earlier token. */
  readonly details: AskedDetails | null;
  /** `null` if the client asked for no scope. */
  readonly scope: readonly string[] | null;
  /** Claims of the client, unchecked; `null` if it sent none. */
  readonly context: NamedValues | null;
  /** The workload that the token is for (`delegate`); `null` for the client itself. */
  readonly delegate: SpiffeId | null;
}

/** Longest JSON parameter read, in characters. */
const MAX_JSON = 16_384;

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';

/** The supported `grant_type` values. */
export const grantTypes: readonly string[] = ['client_credentials', 'refresh_token', TOKEN_EXCHANGE];

/**
 * Parses a `client_credentials`, `refresh_token` or token exchange request. Ignores unknown parameters (RFC 6749 section 3.2). Refuses
 * repeated parameters, other client credentials (the client authenticates by certificate), and `txn`, which only the issuer sets.
 *
 * Two parameters are Remit's own: `task_context`, a JSON object of values that the client claims, and `delegate`, with which a client
 * exchanges its token for a token that the named workload can exchange.
 *
 * @param clientId the SPIFFE ID of the certificate, which `client_id` must equal if it is sent
 * @see RFC 6749 sections 4.4.2 and 6, RFC 8693 section 2.1, RFC 8705 section 2, RFC 8707 section 2, RFC 9396 section 6
 */
export function tokenRequestFrom(form: Form, clientId: string): TokenRequest | OAuthError {
  const problem = envelopeProblem(form, clientId);
  if (problem !== null) return problem;
  const grantType = form.get('grant_type')?.[0];
  const isExchange = grantType === TOKEN_EXCHANGE;
  const isFirst = grantType === 'client_credentials';
  const subject = isExchange ? subjectFrom(form) : null;
  if (isOAuthError(subject)) return subject;
  const refreshToken = grantType === 'refresh_token' ? refreshTokenFrom(form) : null;
  if (isOAuthError(refreshToken)) return refreshToken;
  const resource = resourceFrom(form, { isFirst, isExchange });
  if (isOAuthError(resource)) return resource;
  const details = detailsFrom(form, isFirst);
  if (isOAuthError(details)) return details;
  const scope = form.get('scope')?.[0];
  if (scope !== undefined && !SCOPE.test(scope)) return oauthError('invalid_scope', 'the scope is malformed');
  const context = contextFrom(form);
  if (isOAuthError(context)) return context;
  const delegate = delegateFrom(form, isExchange);
  if (isOAuthError(delegate)) return delegate;
  return {
    subject,
    refreshToken,
    resource,
    details,
    scope: scope === undefined ? null : scope.split(' '),
    context,
    delegate,
  };
}

const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/;

/** Parameters that their standards allow to repeat; they have their own errors. */
const repeatable: ReadonlySet<string> = new Set(['resource', 'audience']);

/** Parameters of other client authentication methods. */
const otherCredentials = ['client_secret', 'client_assertion', 'client_assertion_type'];

const invalid = (description: string): OAuthError => oauthError('invalid_request', description);

/** Checks what is common to all forms of clients that authenticate by certificate. `null` if it is valid. */
export function clientProblem(form: Form, clientId: string): OAuthError | null {
  for (const [name, values] of form) {
    if (values.length > 1 && !repeatable.has(name)) return invalid(`the parameter ${name} is sent more than once`);
  }
  const credential = otherCredentials.find((name) => form.has(name));
  if (credential !== undefined) {
    return invalid(`${credential} not allowed: the client authenticates by certificate`);
  }
  const sent = form.get('client_id')?.[0];
  return sent === undefined || sent === clientId
    ? null
    : oauthError('invalid_client', 'client_id must be the SPIFFE ID of the client certificate');
}

function envelopeProblem(form: Form, clientId: string): OAuthError | null {
  const problem = clientProblem(form, clientId);
  if (problem !== null) return problem;
  const grantType = form.get('grant_type')?.[0];
  if (grantType === undefined) return invalid('grant_type is required');
  if (!grantTypes.includes(grantType)) {
    return oauthError('unsupported_grant_type', `the grant_type must be ${grantTypes.join(' or ')}`);
  }
  return form.has('txn') ? invalid('txn is given by the issuer and cannot be asked for') : null;
}

function subjectFrom(form: Form): AskedSubject | OAuthError {
  const token = form.get('subject_token')?.[0];
  const type = form.get('subject_token_type')?.[0];
  if (token === undefined) return invalid('subject_token is required');
  if (type === undefined) return invalid('subject_token_type is required');
  if (!Object.values<string>(tokenTypes).includes(type)) return invalid('the subject_token_type is not supported');
  if (form.has('actor_token') || form.has('actor_token_type')) {
    return invalid('actor_token is not supported: the actor is the client of the connection');
  }
  const requested = form.get('requested_token_type')?.[0] ?? tokenTypes.accessToken;
  return requested === tokenTypes.accessToken ? { token, type } : invalid('the requested_token_type is not supported');
}

function refreshTokenFrom(form: Form): string | OAuthError {
  if (form.has('task_context')) {
    return invalid('task_context is given when a task is accepted, and changed at the task');
  }
  return form.get('refresh_token')?.[0] ?? invalid('refresh_token is required');
}

function resourceFrom(
  form: Form,
  { isFirst, isExchange }: { readonly isFirst: boolean; readonly isExchange: boolean },
): string | null | OAuthError {
  const [resource, ...more] = form.get('resource') ?? [];
  if (resource === undefined && isFirst) return oauthError('invalid_target', 'exactly one resource is required');
  const audiences = isExchange ? (form.get('audience') ?? []) : [];
  if (more.length > 0 || audiences.length > 1) {
    return oauthError('invalid_target', 'a token is for exactly one resource');
  }
  const [audience = null] = audiences;
  if (resource === undefined) return audience;
  return audience === null || audience === resource
    ? resource
    : oauthError('invalid_target', 'resource and audience must name the same');
}

const refused = (description: string): OAuthError => oauthError('invalid_authorization_details', description);

function detailsFrom(form: Form, isFirst: boolean): AskedDetails | null | OAuthError {
  const text = form.get('authorization_details')?.[0];
  if (text === undefined) {
    return isFirst && !form.has('scope')
      ? refused('authorization_details or scope is required: the intent of the task')
      : null;
  }
  if (text.length > MAX_JSON) return refused(`authorization_details is longer than ${MAX_JSON} characters`);
  const json = strictJsonFrom(Buffer.from(text, 'utf8'));
  if (isProblem(json)) return refused(`authorization_details ${json.problem}`);
  const values = authorizationDetailsFrom(json.value);
  if (isProblem(values)) return refused(`authorization_details ${values.problem}`);
  // Safe: `authorizationDetailsFrom` accepts arrays only, and the strict parser returns only JSON values.
  return { values, json: json.value as readonly JsonValue[] };
}

function contextFrom(form: Form): NamedValues | null | OAuthError {
  const text = form.get('task_context')?.[0];
  if (text === undefined) return null;
  if (text.length > MAX_JSON) return invalid(`task_context is longer than ${MAX_JSON} characters`);
  const json = strictJsonFrom(Buffer.from(text, 'utf8'));
  if (isProblem(json)) return invalid(`task_context ${json.problem}`);
  const context = namedValuesFrom(json.value);
  return isProblem(context) ? invalid(`task_context ${context.problem}`) : context.values;
}

function delegateFrom(form: Form, isExchange: boolean): SpiffeId | null | OAuthError {
  const text = form.get('delegate')?.[0];
  if (text === undefined) return null;
  if (!isExchange) return invalid('delegate requires a subject_token issued to this client');
  const id = spiffeIdFrom(text);
  return isDeny(id) ? invalid('delegate must be a SPIFFE ID') : id;
}
