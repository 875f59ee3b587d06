import { type Deny, deny } from '../../../core/decision/decision.ts';
import type { DecodedMetadata } from './mcp-metadata.ts';

/** The namespace of metadata in which a proxy's configuration may send the peer's certificate, and its member. */
export const CERTIFICATE_NAMESPACE = 'remit';
const MEMBER = 'peer_certificate';

/** Where the peer's certificate is read: `source.certificate`, or metadata, for a proxy that leaves that empty. */
export type CertificateSource = 'peer' | 'metadata';

/**
 * The PEM of the peer's leaf, `''` if none was sent. In metadata it is plain, which URL-decoding leaves as it is. Denies with
 * `identity.conflict` if both `source.certificate` and the metadata carry a certificate: it is unclear which is trusted.
 */
export function peerCertificateFrom(
  certificate: string,
  metadata: DecodedMetadata | undefined,
  from: CertificateSource,
): string | Deny {
  if (from === 'peer') return certificate;
  if (certificate !== '') {
    return deny('identity.conflict', 'the peer certificate was sent, though it is configured to be in the metadata');
  }
  return metadata?.[CERTIFICATE_NAMESPACE]?.fields?.[MEMBER]?.stringValue ?? '';
}
