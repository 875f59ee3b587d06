import { createHash } from 'node:crypto';
import { deny, isDeny } from '../../../core/decision/decision.ts';
import type { Deny } from '../../../core/decision/decision.ts';
import type { LeafCertificate } from '../../../core/identity/leaf-certificate.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import { stateUnavailable } from '../../../core/decision/unavailable.ts';
import type { Confirmation } from '../../../core/token/proof/confirmation.ts';
import { defaultProofRules, proofFrom } from '../../../core/token/proof/proof.ts';
import type { Proof } from '../../../core/token/proof/proof.ts';
import { type OAuthError, oauthError } from '../oauth-error.ts';
import type { IssuerRequest, IssuerServices } from '../services.ts';

/** How long a proof is remembered for other processes: as long as any of them accepts it, with a minute for their clocks. */
const KEPT_MS = (defaultProofRules.pastSeconds + defaultProofRules.futureSeconds + 60) * 1_000;

/** Remembers a proof in the state, which the processes of this issuer share. `null` on first use at any of them. */
async function usedAtAnother(
  { thumbprint, proofId }: Proof,
  authority: IssuerServices['authority'],
): Promise<Deny | null> {
  const key = createHash('sha256').update(`${thumbprint}.${proofId}`).digest('base64url');
  const remembered = await authority.rememberOnce('proof', key, authority.floorMs() + KEPT_MS);
  if (isStoreFailure(remembered)) return stateUnavailable(remembered);
  return remembered === 'new' ? null : deny('token.proof', 'the proof was used before');
}

/**
 * The key that a token is bound to: the key of the request's DPoP proof, or of the client's certificate if there is no proof. A proof is
 * valid for this path below the configured URL, and for a single request.
 *
 * @returns `use_dpop_nonce` with a nonce; `invalid_dpop_proof`, also if DPoP is not enabled; `temporarily_unavailable` if proofs cannot be
 *   remembered
 * @see RFC 8705 section 3.1, RFC 9449 sections 5 and 8
 */
export async function bindingOf(
  request: Pick<IssuerRequest, 'dpop' | 'path'>,
  leaf: LeafCertificate,
  { authority, nonces, proofs, settings, isShared = false }: IssuerServices,
): Promise<Confirmation | OAuthError> {
  if (request.dpop.length === 0) return { kind: 'x5t#S256', thumbprint: leaf.sha256 };
  if (proofs === null) return oauthError('invalid_dpop_proof', 'DPoP-bound tokens are not enabled');
  const clocks = authority.clocks();
  const proof = proofFrom(request.dpop, {
    method: 'POST',
    url: new URL(request.path, settings.url).href,
    accessToken: null,
    nowMs: clocks.wallMs,
    rules: defaultProofRules,
    nonces,
  });
  if (isDeny(proof) && proof.reason === 'token.proof-nonce' && nonces !== undefined) {
    return { ...oauthError('use_dpop_nonce', proof.detail, proof), nonce: nonces.current() };
  }
  if (isDeny(proof)) return oauthError('invalid_dpop_proof', proof.detail, proof);
  const used =
    proofs.use(proof, { agent: leaf.id, clocks }) ?? (isShared ? await usedAtAnother(proof, authority) : null);
  if (used === null) return { kind: 'jkt', thumbprint: proof.thumbprint };
  return oauthError(
    used.reason === 'token.proof' ? 'invalid_dpop_proof' : 'temporarily_unavailable',
    used.detail,
    used,
  );
}
