import { isDeny } from '../decision/decision.ts';
import type { Leaf } from '../identity/leaf.ts';
import { issueQuestion } from '../policy/question.ts';
import { clientFrom } from './client.ts';
import { formFrom } from './form.ts';
import { type Intent, intentFrom } from './intent.ts';
import { isOAuthError, type OAuthError, oauthError } from './oauth-error.ts';
import type { IssuerRequest, IssuerServices } from './services.ts';
import { tokenRequestFrom } from './token-request.ts';

/** What may be issued: the intent, for how long, and who said so. */
export interface Grant {
  readonly leaf: Leaf;
  readonly intent: Intent;
  /** Seconds since the Unix epoch, as `iat` and `exp` of the token. */
  readonly issuedAtSeconds: number;
  readonly expiresAtSeconds: number;
  /** The end of the task, on the store's clock, milliseconds since the Unix epoch. */
  readonly deadlineMs: number;
  /** Ids of the policies that permitted it, sorted. */
  readonly policyIds: readonly string[];
}

/** How far a request came: what is known of it, and the grant or the refusal it ended in. */
export interface Judged {
  readonly leaf: Leaf | null;
  readonly intent: Intent | null;
  readonly outcome: Grant | OAuthError;
}

/** A certificate that ends sooner is too near its end to bind a token to. */
const MIN_CERTIFICATE_SECONDS = 10;

/** Judges a token request: client, form, intent, lifetimes, policy, in this order, and the first that refuses is the answer. */
export function grantFrom(request: IssuerRequest, services: IssuerServices): Judged {
  const leaf = authenticated(request, services);
  if (isOAuthError(leaf)) return { leaf: null, intent: null, outcome: leaf };
  const intent = declared(request, services, leaf);
  if (isOAuthError(intent)) return { leaf, intent: null, outcome: intent };
  const lifetime = lifetimeOf(leaf, intent, services);
  if (isOAuthError(lifetime)) return { leaf, intent, outcome: lifetime };
  const policyIds = permitted(intent, lifetime, services);
  return { leaf, intent, outcome: isOAuthError(policyIds) ? policyIds : { leaf, intent, ...lifetime, policyIds } };
}

function authenticated(request: IssuerRequest, services: IssuerServices): Leaf | OAuthError {
  const nowMs = services.ports.nowMs();
  const leaf = clientFrom(request.certificate, services.settings.trustDomains, nowMs);
  if (isDeny(leaf)) return oauthError('invalid_client', leaf.detail, leaf);
  return leaf.notAfterMs - nowMs >= MIN_CERTIFICATE_SECONDS * 1_000
    ? leaf
    : oauthError('invalid_client', `the client certificate ends in less than ${MIN_CERTIFICATE_SECONDS} s`);
}

function declared(request: IssuerRequest, services: IssuerServices, leaf: Leaf): Intent | OAuthError {
  if (request.hasAuthorization) {
    return oauthError(
      'invalid_request',
      'an authorization header is a second client authentication beside the certificate',
    );
  }
  const form = formFrom(request.body, request.contentType);
  if (isOAuthError(form)) return form;
  const asked = tokenRequestFrom(form, leaf.id);
  if (isOAuthError(asked)) return asked;
  const catalog = services.catalog();
  if (isDeny(catalog)) return oauthError('temporarily_unavailable', 'no policies are loaded', catalog);
  return intentFrom(asked, catalog, { agent: leaf.id, issuer: services.settings.url });
}

type Lifetime = Pick<Grant, 'issuedAtSeconds' | 'expiresAtSeconds' | 'deadlineMs'>;

/**
 * The task lives to the end of its intent, else for the default time, and never longer than the longest; the token never
 * beyond its own time, the task or the certificate it is bound to.
 */
function lifetimeOf(leaf: Leaf, intent: Intent, services: IssuerServices): Lifetime | OAuthError {
  const { tokenSeconds, taskSeconds, maxTaskSeconds } = services.settings;
  const startMs = services.store.nowMs();
  const deadlineMs = Math.min(intent.notAfterMs ?? startMs + taskSeconds * 1_000, startMs + maxTaskSeconds * 1_000);
  const issuedAtSeconds = Math.floor(services.ports.nowMs() / 1_000);
  const expiresAtSeconds = Math.min(
    issuedAtSeconds + tokenSeconds,
    Math.floor(deadlineMs / 1_000),
    Math.floor(leaf.notAfterMs / 1_000),
  );
  return deadlineMs > startMs && expiresAtSeconds > issuedAtSeconds
    ? { issuedAtSeconds, expiresAtSeconds, deadlineMs }
    : oauthError('invalid_authorization_details', 'not_after has passed');
}

/** The ids of the policies that permit every action of the intent: one decision each, all or nothing. */
function permitted(intent: Intent, lifetime: Lifetime, services: IssuerServices): readonly string[] | OAuthError {
  const policyIds = new Set<string>();
  const actions = intent.actions.map((action) => action.id);
  for (const action of intent.actions) {
    const decision = services.grant(
      issueQuestion({
        agent: intent.agent,
        server: intent.server,
        purpose: intent.purpose,
        actions,
        requested: { action: action.id, risk: action.risk },
        ttlSeconds: lifetime.expiresAtSeconds - lifetime.issuedAtSeconds,
        nowMs: lifetime.issuedAtSeconds * 1_000,
      }),
    );
    if (isDeny(decision)) {
      return decision.reason === 'policy.forbidden' || decision.reason === 'policy.not-permitted'
        ? oauthError('invalid_authorization_details', `the action ${action.id} is not granted to this client`, decision)
        : oauthError('temporarily_unavailable', 'the grant could not be decided', decision);
    }
    for (const id of decision.policyIds) policyIds.add(id);
  }
  return [...policyIds].toSorted();
}
