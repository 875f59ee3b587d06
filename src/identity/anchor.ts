import { X509Certificate } from 'node:crypto';

import { isDeny } from '../decision/decision.ts';
import { extensionsFrom, SUBJECT_ALTERNATIVE_NAME, uriNamesIn } from './certificate-extensions.ts';
import type { LeafCertificate } from './leaf-certificate.ts';
import { trustDomainFrom, trustDomainOf, type TrustDomain } from './spiffe-id.ts';

/** A CA certificate that may sign leaves, with the results of its signature checks. */
interface Anchor {
  readonly certificate: X509Certificate;
  /** The trust domain of its SPIFFE ID; `null` where it has none. */
  readonly trustDomain: TrustDomain | null;
  readonly signed: WeakMap<LeafCertificate, boolean>;
}

/** INVARIANT: only signature checks are memoised. Validity depends on the time and is checked on each use. */
const anchorsOf = new WeakMap<readonly string[], readonly Anchor[]>();

/**
 * Whether a currently valid anchor signed `leaf` directly. Envoy sends only the leaf, so an intermediate CA must be an anchor
 * itself.
 *
 * An anchor with a SPIFFE ID vouches for its trust domain only. An anchor without one vouches only where `trustDomains` has a
 * single entry; otherwise the CA of one domain could sign for another. A text that is not a CA certificate is ignored.
 *
 * Anchors are parsed once per array: a new bundle must be a new array.
 *
 * @param anchors PEM texts of one CA certificate each
 * @see X509-SVID section 5
 */
export function isAnchored(
  leaf: LeafCertificate,
  nowMs: number,
  { anchors, trustDomains }: { readonly anchors: readonly string[]; readonly trustDomains: ReadonlySet<TrustDomain> },
): boolean {
  const trustDomain = trustDomainOf(leaf.id);
  return parsed(anchors).some(
    (anchor) =>
      (anchor.trustDomain === null ? trustDomains.size === 1 : anchor.trustDomain === trustDomain) &&
      anchor.certificate.validFromDate.getTime() <= nowMs &&
      nowMs <= anchor.certificate.validToDate.getTime() &&
      hasSigned(anchor, leaf),
  );
}

function parsed(anchors: readonly string[]): readonly Anchor[] {
  const held = anchorsOf.get(anchors) ?? anchors.flatMap(anchorFrom);
  anchorsOf.set(anchors, held);
  return held;
}

/** The anchor in a PEM text; empty where it is not a usable CA certificate. */
function anchorFrom(pem: string): readonly Anchor[] {
  try {
    const certificate = new X509Certificate(pem);
    const names = uriNamesIn(extensionsFrom(certificate.raw)?.get(SUBJECT_ALTERNATIVE_NAME));
    if (!certificate.ca || names === null || names.length > 1) return [];
    const trustDomain = names[0] === undefined ? null : trustDomainFrom(/^spiffe:\/\/(.*)$/.exec(names[0])?.[1] ?? '');
    if (isDeny(trustDomain)) return [];
    return [{ certificate, trustDomain, signed: new WeakMap() }];
  } catch {
    return [];
  }
}

function hasSigned(anchor: Anchor, leaf: LeafCertificate): boolean {
  const held = anchor.signed.get(leaf);
  if (held !== undefined) return held;
  const signed = isSignedBy(leaf, anchor.certificate);
  anchor.signed.set(leaf, signed);
  return signed;
}

function isSignedBy(leaf: LeafCertificate, issuer: X509Certificate): boolean {
  try {
    const certificate = new X509Certificate(leaf.der);
    return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  } catch {
    // OpenSSL cannot verify with this type of key, so it vouches for nothing.
    return false;
  }
}
