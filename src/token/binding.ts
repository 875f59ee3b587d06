import { timingSafeEqual } from 'node:crypto';
import { deny, type Deny } from '../decision/decision.ts';
import type { Caller } from '../identity/caller.ts';
import type { TaskToken } from './claims.ts';

/**
 * How a token is held to its caller. `certificate`: the same SPIFFE ID and the same certificate (RFC 8705).
 * `spiffe-id`: the same SPIFFE ID alone, so that a token outlives the rotation of its agent's certificate, and any
 * workload with that ID can use it.
 */
export type BindingMode = 'certificate' | 'spiffe-id';

/**
 * Why the caller may not use the token, `token.binding`, or `null` where it is the one the token was issued to. Checked
 * on every use, since the token may be the same and the caller another.
 *
 * @see RFC 8705 section 3
 */
export function bindingProblem(token: TaskToken, caller: Caller, mode: BindingMode): Deny | null {
  if (token.clientId !== caller.id) return deny('token.binding', 'claim `client_id` is not the caller');
  return mode === 'spiffe-id' ? null : certificateProblem(token, caller);
}

function certificateProblem({ confirmation }: TaskToken, { certificateSha256 }: Caller): Deny | null {
  if (confirmation === null) return deny('token.binding', 'claim `cnf` is required');
  if (confirmation.kind === 'jkt') return deny('token.binding', 'proof of possession by DPoP is not enabled');
  if (certificateSha256 === null) return deny('token.binding', 'the certificate of the caller is not known');
  return isSameDigest(confirmation.thumbprint, certificateSha256)
    ? null
    : deny('token.binding', 'claim `cnf` is not the certificate of the caller');
}

function isSameDigest(left: string, right: string): boolean {
  const [a, b] = [Buffer.from(left), Buffer.from(right)];
  return a.length === b.length && timingSafeEqual(a, b);
}
