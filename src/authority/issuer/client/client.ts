import { type Deny, deny, isDeny } from '../../../core/decision/decision.ts';
import type { LeafCertificate } from '../../../core/identity/leaf-certificate.ts';
import { type TrustDomain, trustDomainOf } from '../../../core/identity/spiffe-id.ts';

/**
 * The client workload of a connection whose certificate chain TLS has verified. Must be called for every request, because a
 * connection can outlive its certificate.
 *
 * @param leaf the certificate of the connection, or why it has none
 * @returns that denial; `identity.invalid` or `identity.untrusted-domain` if the certificate is not good now
 */
export function clientFrom(
  leaf: LeafCertificate | Deny,
  trustDomains: ReadonlySet<TrustDomain>,
  nowMs: number,
): LeafCertificate | Deny {
  if (isDeny(leaf)) return leaf;
  if (!trustDomains.has(trustDomainOf(leaf.id))) {
    return deny('identity.untrusted-domain', 'the trust domain of the client certificate is not accepted');
  }
  if (nowMs < leaf.notBeforeMs) return deny('identity.invalid', 'the client certificate is not valid yet');
  return nowMs > leaf.notAfterMs ? deny('identity.invalid', 'the client certificate has expired') : leaf;
}
