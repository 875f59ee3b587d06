import { createHash, X509Certificate } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { upTo } from '../runtime/collections/up-to.ts';

import { deny, isDeny, type Deny } from '../decision/decision.ts';
import {
  BASIC_CONSTRAINTS,
  elementsIn,
  extensionsFrom,
  KEY_USAGE,
  sequenceIn,
  SUBJECT_ALTERNATIVE_NAME,
  uriNamesIn,
} from './certificate-extensions.ts';
import { spiffeIdFrom, type SpiffeId } from './spiffe-id.ts';

/** The content of an X509-SVID's leaf certificate. Its validity is not checked here: that needs a clock. */
export interface LeafCertificate {
  readonly id: SpiffeId;
  /** base64url of the SHA-256 of the DER, the `x5t#S256` of RFC 8705 section 3.1. */
  readonly sha256: string;
  /** First instant of its validity, milliseconds since the Unix epoch. */
  readonly notBeforeMs: number;
  /** Last instant of its validity, milliseconds since the Unix epoch. */
  readonly notAfterMs: number;
  readonly der: Uint8Array;
}

/** Reads the URL-encoded PEM of one leaf certificate, the form in which Envoy sends it. */
export type LeafReader = (text: string) => LeafCertificate | Deny;

/** Longest certificate accepted, in bytes of any encoding. A usual SVID has about 1 KiB. */
export const MAX_CERTIFICATE_BYTES = 16 * 1024;

const ONE_PEM_BLOCK = /^-----BEGIN CERTIFICATE-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END CERTIFICATE-----[\r\n]*$/;
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
/** Bits of the first byte of KeyUsage. */
const DIGITAL_SIGNATURE = 0x80;
const KEY_CERT_SIGN = 0x04;
const CRL_SIGN = 0x02;

/**
 * {@link leafFromPem} of URL-encoded PEM, as Envoy sends it. Denies bad encoding with `identity.invalid`.
 *
 * @see envoy.service.auth.v3.AttributeContext.Peer.certificate
 */
export function leafFromUrlEncodedPem(text: string): LeafCertificate | Deny {
  if (text.length > MAX_CERTIFICATE_BYTES) return tooLong();
  try {
    return leafFromPem(decodeURIComponent(text));
  } catch {
    return invalid('the peer certificate must be url-encoded');
  }
}

/**
 * {@link leafFromDer} of a text that is exactly one PEM block of at most 16 KiB. Denies a second block, text around it, or
 * non-canonical base64 with `identity.invalid`, so that one text has one reading.
 */
export function leafFromPem(text: string): LeafCertificate | Deny {
  if (text.length > MAX_CERTIFICATE_BYTES) return tooLong();
  const base64 = ONE_PEM_BLOCK.exec(text)?.[1]?.replaceAll(/[\r\n]/g, '');
  if (base64 === undefined) return invalid('the certificate must be exactly one pem block');
  const der = Buffer.from(base64, 'base64');
  return der.toString('base64') === base64
    ? leafFromDer(der)
    : invalid('the base64 of the certificate is not canonical');
}

/**
 * Parses the leaf certificate of an X509-SVID. Never throws. Denies with `identity.invalid` anything that is not the DER of one
 * certificate of at most 16 KiB, or that breaks a rule of the standard: exactly one URI name, which is a workload's SPIFFE ID
 * (other types of name are allowed); not a CA; key usage with digitalSignature and without keyCertSign and cRLSign; clientAuth
 * in the extended key usage, if present. Text names with NUL are refused.
 *
 * Checks neither the signature nor the validity.
 *
 * @see X509-SVID sections 2, 4 and 5.2
 */
export function leafFromDer(der: Uint8Array): LeafCertificate | Deny {
  if (der.length > MAX_CERTIFICATE_BYTES) return tooLong();
  const certificate = certificateFrom(der);
  const extensions = certificate === null ? null : extensionsFrom(der);
  if (certificate === null || extensions === null) return invalid('the certificate could not be read');

  const problem =
    authorityProblem(extensions.get(BASIC_CONSTRAINTS)) ??
    keyUsageProblem(extensions.get(KEY_USAGE)) ??
    extendedKeyUsageProblem(certificate.keyUsage);
  if (problem !== null) return invalid(problem);

  const id = idFrom(extensions.get(SUBJECT_ALTERNATIVE_NAME));
  if (isDeny(id)) return id;
  const notBeforeMs = certificate.validFromDate.getTime();
  const notAfterMs = certificate.validToDate.getTime();
  if (!(notBeforeMs <= notAfterMs)) return invalid('the validity of the certificate could not be read');
  const sha256 = createHash('sha256').update(der).digest('base64url');
  return Object.freeze({ id, sha256, notBeforeMs, notAfterMs, der: certificate.raw });
}

/**
 * {@link leafFromUrlEncodedPem} with an LRU cache of `maxEntries` leaves keyed by the whole text: Envoy sends the same
 * certificate with each call of a connection. About 32 KiB per entry at most. Denials are not cached, nor is anything that
 * depends on the clock.
 *
 * @param maxEntries at least 1, else it throws
 */
export function leafCache(maxEntries: number): LeafReader {
  const leaves = new LRUCache<string, LeafCertificate>(upTo(maxEntries));
  return (text) => {
    const held = leaves.get(text);
    if (held !== undefined) return held;
    const leaf = leafFromUrlEncodedPem(text);
    if (!isDeny(leaf)) leaves.set(text, leaf);
    return leaf;
  };
}

/** INVARIANT: hashes the whole input. OpenSSL ignores bytes after the certificate, so the lengths must match. */
function certificateFrom(der: Uint8Array): X509Certificate | null {
  try {
    const certificate = new X509Certificate(der);
    return certificate.raw.equals(der) ? certificate : null;
  } catch {
    return null;
  }
}

function authorityProblem(basicConstraints: Uint8Array | undefined): string | null {
  if (basicConstraints === undefined) return null;
  const parts = sequenceIn(basicConstraints);
  // DER omits defaults, so anything in the sequence means cA=TRUE, or a path length that only a CA may have.
  return parts?.length === 0 ? null : 'the certificate must not be of a ca';
}

function keyUsageProblem(keyUsage: Uint8Array | undefined): string | null {
  // A BIT STRING: the count of its unused bits, then the bits.
  const [bitString] = keyUsage === undefined ? [] : (elementsIn(keyUsage) ?? []);
  const bits = bitString?.tag === 0x03 ? bitString.content[1] : undefined;
  if (bits === undefined || (bits & DIGITAL_SIGNATURE) === 0) {
    return 'the certificate must have a key usage with digitalSignature';
  }
  if ((bits & (KEY_CERT_SIGN | CRL_SIGN)) !== 0) {
    return 'the key usage of the certificate must have neither keyCertSign nor cRLSign';
  }
  return null;
}

/** `undefined` is a certificate without the extension, which is good for every purpose. */
function extendedKeyUsageProblem(purposes: readonly string[] | undefined): string | null {
  return purposes === undefined || purposes.includes(CLIENT_AUTH)
    ? null
    : 'the extended key usage of the certificate must have clientAuth';
}

function idFrom(subjectAlternativeName: Uint8Array | undefined): SpiffeId | Deny {
  const names = uriNamesIn(subjectAlternativeName);
  if (names === null) return invalid('a name of the certificate contains a nul or could not be read');
  const [uri] = names;
  return uri !== undefined && names.length === 1
    ? spiffeIdFrom(uri)
    : invalid(`the certificate must have exactly one uri name, it has ${names.length}`);
}

const tooLong = (): Deny => invalid(`the certificate must be at most ${MAX_CERTIFICATE_BYTES} bytes`);

const invalid = (detail: string): Deny => deny('identity.invalid', detail);
