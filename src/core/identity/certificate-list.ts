import { X509Certificate } from 'node:crypto';
import { elementsIn } from './certificate-extensions.ts';
import { MAX_CERTIFICATE_BYTES } from './leaf-certificate.ts';

/** Most certificates in one list: a chain has a few, a bundle a few more while its CA rotates. */
export const MAX_CERTIFICATES = 256;

const PEM_BLOCK = /-----BEGIN CERTIFICATE-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END CERTIFICATE-----/g;

/**
 * The certificates in concatenated DER, as the Workload API sends chains and bundles; empty for no bytes. `null` for anything
 * but whole certificates of at most 16 KiB each, or more than {@link MAX_CERTIFICATES}.
 */
export function certificatesFromDer(der: Uint8Array): readonly X509Certificate[] | null {
  const elements = elementsIn(der);
  if (elements === null || elements.length > MAX_CERTIFICATES) return null;
  let start = 0;
  const parts = elements.map(({ content }) => {
    // Contents are views of `der`: the next certificate begins at the end of the last.
    const end = content.byteOffset - der.byteOffset + content.length;
    const part = der.subarray(start, end);
    start = end;
    return part;
  });
  return certificatesFrom(parts);
}

/**
 * The certificates of a PEM file, in order; empty for a text without a block. Text between blocks is skipped. `null` if a block is
 * truncated, of another type, or not a certificate of at most 16 KiB, or if there are more than {@link
 * MAX_CERTIFICATES}.
 */
export function certificatesFromPem(text: string): readonly X509Certificate[] | null {
  if (text.replaceAll(PEM_BLOCK, '').includes('-----')) return null;
  const blocks = [...text.matchAll(PEM_BLOCK)].map(([, base64 = '']) => Buffer.from(base64, 'base64'));
  return blocks.length > MAX_CERTIFICATES ? null : certificatesFrom(blocks);
}

/** All or nothing. OpenSSL ignores bytes after a certificate, so the result must have the length of the input. */
function certificatesFrom(ders: readonly Uint8Array[]): readonly X509Certificate[] | null {
  try {
    const certificates = ders.map((der) => new X509Certificate(der));
    const whole = certificates.every(
      ({ raw }, at) => raw.length <= MAX_CERTIFICATE_BYTES && raw.equals(ders[at] ?? raw),
    );
    return whole ? certificates : null;
  } catch {
    return null;
  }
}
