import { X509Certificate } from 'node:crypto';

/**
 * Why a bundle does not verify a certificate chain; `null` if it does: each certificate is issued by the next, and the last
 * by a currently valid CA certificate of the bundle.
 *
 * @param chain the leaf, then any intermediates
 */
export function bundleProblem(
  chain: readonly X509Certificate[],
  bundle: readonly X509Certificate[],
  nowMs: number,
): string | null {
  const anchors = bundle.filter((anchor) => anchor.ca && isInTime(anchor, nowMs));
  const [leaf, ...intermediates] = chain;
  let current = leaf;
  // Uses each intermediate once, so that a cycle ends.
  for (const left = new Set(intermediates); current !== undefined;) {
    const subject = current;
    if (anchors.some((anchor) => hasIssued(anchor, subject))) return null;
    current = [...left].find((next) => next.ca && hasIssued(next, subject));
    if (current !== undefined) left.delete(current);
  }
  return `its bundle does not verify it: none of its ${bundle.length} certificates is a currently valid CA that issued it; use the bundle of its own trust domain`;
}

const isInTime = ({ validFromDate, validToDate }: X509Certificate, nowMs: number): boolean =>
  validFromDate.getTime() <= nowMs && nowMs <= validToDate.getTime();

function hasIssued(issuer: X509Certificate, subject: X509Certificate): boolean {
  try {
    return subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
  } catch {
    // OpenSSL cannot verify with this type of key.
    return false;
  }
}
