import { type Deny, deny, isDeny } from '../../../core/decision/decision.ts';
import { type LeafCertificate, leafFromDer } from '../../../core/identity/leaf-certificate.ts';
import { type TrustDomain, trustDomainOf } from '../../../core/identity/spiffe-id.ts';

/**
 * The client workload of a connection whose certificate chain TLS has verified. Must be called for every request, because a
 * connection can outlive its certificate.
 *
 * @param der the leaf certificate; `undefined` if the client sent none
 * @returns a denial with `identity.missing`, `identity.invalid` or `identity.untrusted-domain` otherwise
 */
export function clientFrom(
  der: Uint8Array | undefined,
  trustDomains: ReadonlySet<TrustDomain>,
  nowMs: number,
): LeafCertificate | Deny {
  if (der === undefined) return deny('identity.missing', 'the client presented no certificate');
  const leaf = leafFromDer(der);
  if (isDeny(leaf)) return leaf;
  if (!trustDomains.has(trustDomainOf(leaf.id))) {
    return deny('identity.untrusted-domain', 'the trust domain of the client certificate is not accepted');
  }
  if (nowMs < leaf.notBeforeMs) return deny('identity.invalid', 'the client certificate is not valid yet');
  return nowMs > leaf.notAfterMs ? deny('identity.invalid', 'the client certificate has expired') : leaf;
}
