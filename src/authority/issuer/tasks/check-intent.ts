import { isDeny } from '../../../core/decision/decision.ts';
import type { LeafCertificate } from '../../../core/identity/leaf-certificate.ts';
import { recordText } from '../../../core/ledger/record.ts';
import { askedFrom, authenticated } from '../token/grant.ts';
import { intentPreview, type IntentPreview, isGranted, previewJson } from './intent-preview.ts';
import { isOAuthError, type OAuthError, oauthError } from '../oauth-error.ts';
import { errorReply, jsonReply, type Reply } from '../reply.ts';
import type { IssuerRequest, IssuerServices } from '../services.ts';
import { type SpanAttributes, UNFINISHED } from '../tracer.ts';

/**
 * `POST /intents/check`: what a token request for a new task would be granted, and what not and why. It takes the form of a request with
 * `client_credentials`. Nothing is issued or recorded, but the request counts like any other, and its span names the client and what it asked
 * for. A client learns no more than by asking for tokens.
 */
export async function answerIntentCheck(request: IssuerRequest, services: IssuerServices): Promise<Reply> {
  const span = services.tracer.start('intent.check', {}, request.traceparent);
  let attributes: SpanAttributes = { 'remit.decision': 'deny', ...UNFINISHED };
  try {
    const leaf = authenticated(request, services);
    const preview = isOAuthError(leaf) ? leaf : await previewOf(request, leaf, services);
    attributes = {
      ...(isOAuthError(leaf) ? {} : { 'remit.agent': leaf.id }),
      ...(isOAuthError(preview) ? refusalAttributes(preview) : previewAttributes(preview)),
    };
    return isOAuthError(preview) ? errorReply(preview) : jsonReply(200, previewJson(preview));
  } finally {
    span.end(attributes);
  }
}

async function previewOf(
  request: IssuerRequest,
  leaf: LeafCertificate,
  services: IssuerServices,
): Promise<IntentPreview | OAuthError> {
  const asked = askedFrom(request, leaf);
  if (isOAuthError(asked)) return asked;
  const { subject, refreshToken, resource, details, context } = asked;
  if (subject !== null || refreshToken !== null) {
    return oauthError('invalid_request', 'an intent is checked with the grant_type client_credentials');
  }
  if (details === null) return oauthError('invalid_authorization_details', 'authorization_details is required');
  const { policies } = services;
  if (isDeny(policies)) return oauthError('temporarily_unavailable', 'no policies are loaded', policies);
  return intentPreview({ resource, details, claimed: context ?? {} }, leaf, { ...services, policies });
}

const refusalAttributes = ({ error, status, cause, description }: OAuthError): SpanAttributes => ({
  'remit.decision': 'deny',
  'remit.reason': cause?.reason ?? error,
  'remit.detail': recordText(cause?.detail ?? description),
  'http.response.status_code': status,
  'error.type': error,
});

const previewAttributes = (preview: IntentPreview): SpanAttributes => ({
  'remit.decision': isGranted(preview) ? 'allow' : 'deny',
  'remit.intent.actions': preview.actions.map(({ action }) => recordText(action)),
  'http.response.status_code': 200,
});
