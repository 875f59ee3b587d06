import { isDeny } from '../../../core/decision/decision.ts';
import type { LeafCertificate } from '../../../core/identity/leaf-certificate.ts';
import { clientFrom } from './client.ts';
import { authorizationProblem } from './client-authentication.ts';
import { type Form, formFrom } from '../form.ts';
import { isOAuthError, type OAuthError, oauthError } from '../oauth-error.ts';
import type { IssuerRequest, IssuerServices } from '../services.ts';
import { clientProblem } from '../token/token-request.ts';

/** A form and the client that sent it. */
export interface ClientForm {
  readonly leaf: LeafCertificate;
  readonly form: Form;
  /** The required parameter `token`. */
  readonly token: string;
}

/**
 * Reads the form of an introspection or revocation request and authenticates its client.
 *
 * @see RFC 7009 section 2.1, RFC 7662 section 2.1
 */
export function clientFormFrom(request: IssuerRequest, services: IssuerServices): ClientForm | OAuthError {
  const leaf = clientFrom(request.certificate, services.settings.trustDomains, services.ports.nowMs());
  if (isDeny(leaf)) return oauthError('invalid_client', leaf.detail, leaf);
  const header = authorizationProblem(request.authorization, leaf.id);
  if (header !== null) return header;
  const form = formFrom(request.body, request.contentType);
  if (isOAuthError(form)) return form;
  const problem = clientProblem(form, leaf.id);
  if (problem !== null) return problem;
  const token = form.get('token')?.[0];
  return token === undefined ? oauthError('invalid_request', 'token is required') : { leaf, form, token };
}
