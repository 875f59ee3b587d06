import { X509Certificate } from 'node:crypto';

/**
 * Why a bundle does not verify a certificate chain, or `null` where it does: each certificate was issued by the next one, until a CA
 * certificate of the bundle issued one. Dates of the bundle are judged too, since every client does.
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
  // Each intermediate is taken once, so a chain that goes round ends.
  for (const left = new Set(intermediates); current !== undefined;) {
    const subject = current;
    if (anchors.some((anchor) => hasIssued(anchor, subject))) return null;
    current = [...left].find((next) => next.ca && hasIssued(next, subject));
    if (current !== undefined) left.delete(current);
  }
  return `its bundle does not verify it: none of the ${bundle.length} certificates there is a CA that issued it and is in its validity; take the bundle of its own trust domain`;
}

const isInTime = ({ validFromDate, validToDate }: X509Certificate, nowMs: number): boolean =>
  validFromDate.getTime() <= nowMs && nowMs <= validToDate.getTime();

function hasIssued(issuer: X509Certificate, subject: X509Certificate): boolean {
  try {
    return subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
  } catch {
    // A key of a kind that OpenSSL cannot verify with.
    return false;
  }
}
