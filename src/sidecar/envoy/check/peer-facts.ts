import { deny, isDeny } from '../../../core/decision/decision.ts';
import type { Deny } from '../../../core/decision/decision.ts';
import type { PeerFacts } from '../../../core/identity/caller.ts';
import type { DecodedCheckRequest } from './check-request.ts';
import { peerCertificateFrom } from './peer-certificate.ts';
import type { CertificateSource } from './peer-certificate.ts';

/** Longest URL-encoded PEM of one leaf certificate. */
const MAX_CERTIFICATE_CHARS = 32_768;

/** What a request shows of its peer, or why that cannot be used. */
export function peerFrom(
  request: DecodedCheckRequest,
  headers: ReadonlyMap<string, readonly string[]>,
  { certificateFrom = 'peer' }: { readonly certificateFrom?: CertificateSource },
): PeerFacts | Deny {
  const { source: { principal = '', certificate: sent = '' } = {}, metadata_context: context } =
    request.attributes ?? {};
  const certificate = peerCertificateFrom(sent, context?.filter_metadata, certificateFrom);
  if (isDeny(certificate)) return certificate;
  if (certificate.length > MAX_CERTIFICATE_CHARS) {
    return deny('request.too-large', `a certificate of more than ${MAX_CERTIFICATE_CHARS} characters`);
  }
  if (principal.includes('\0') || certificate.includes('\0')) {
    return deny('request.not-canonical', 'the peer has a NUL character');
  }
  return { principal, certificate, xfcc: headers.get('x-forwarded-client-cert') ?? [] };
}
