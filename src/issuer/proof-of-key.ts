import { isDeny } from '../decision/decision.ts';
import type { LeafCertificate } from '../identity/leaf-certificate.ts';
import type { Confirmation } from '../token/confirmation.ts';
import { defaultProofRules, proofFrom } from '../token/proof.ts';
import { type OAuthError, oauthError } from './oauth-error.ts';
import type { IssuerRequest, IssuerServices } from './services.ts';

/**
 * What a token is bound to: the key of the request's DPoP proof where it has one, else the client's certificate. A proof is
 * for this path of the configured URL and for one request.
 *
 * @returns `invalid_dpop_proof`, also where such a binding is not configured; `temporarily_unavailable` where no proof can be remembered
 * @see RFC 8705 section 3.1, RFC 9449 section 5
 */
export function bindingOf(
  request: Pick<IssuerRequest, 'dpop' | 'path'>,
  leaf: LeafCertificate,
  { authority, proofs, settings }: IssuerServices,
): Confirmation | OAuthError {
  if (request.dpop.length === 0) return { kind: 'x5t#S256', thumbprint: leaf.sha256 };
  if (proofs === null) return oauthError('invalid_dpop_proof', 'tokens are not bound to a DPoP key here');
  const clocks = authority.clocks();
  const proof = proofFrom(request.dpop, {
    method: 'POST',
    url: new URL(request.path, settings.url).href,
    accessToken: null,
    nowMs: clocks.wallMs,
    rules: defaultProofRules,
  });
  if (isDeny(proof)) return oauthError('invalid_dpop_proof', proof.detail, proof);
  const used = proofs.use(proof, { agent: leaf.id, clocks });
  if (used === null) return { kind: 'jkt', thumbprint: proof.thumbprint };
  return oauthError(
    used.reason === 'token.proof' ? 'invalid_dpop_proof' : 'temporarily_unavailable',
    used.detail,
    used,
  );
}
