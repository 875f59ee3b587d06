import { X509Certificate } from 'node:crypto';

import { isDeny } from '../decision/decision.ts';
import { extensionsFrom, SUBJECT_ALTERNATIVE_NAME, uriNamesIn } from './certificate-extensions.ts';
import type { LeafCertificate } from './leaf-certificate.ts';
import { trustDomainFrom, trustDomainOf, type TrustDomain } from './spiffe-id.ts';

/** A certificate that may sign leaves, and what it was found to have signed. */
interface Anchor {
  readonly certificate: X509Certificate;
  /** The trust domain its own SPIFFE ID names; `null` where it has none. */
  readonly trustDomain: TrustDomain | null;
  readonly signed: WeakMap<LeafCertificate, boolean>;
}

/** INVARIANT: a signature does not change with time, so it is remembered; a date does matter each time, so it is not. */
const anchorsOf = new WeakMap<readonly string[], readonly Anchor[]>();

/**
 * Whether one of `anchors`, in its own validity, signed `leaf` directly: Envoy sends the leaf alone, so an intermediate
 * CA has to be an anchor itself.
 *
 * An anchor that names a trust domain vouches for that one alone. One that names none vouches only where `trustDomains`
 * has a single entry, since nothing else would keep the CA of one domain from signing for another. A text that is not
 * the certificate of a CA vouches for nothing.
 *
 * Anchors are parsed once for each array: a new bundle is a new array.
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

/** One anchor, or none where the text is not the certificate of a CA that can be used. */
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
    // A key of a kind OpenSSL cannot verify with: it vouches for nothing.
    return false;
  }
}
