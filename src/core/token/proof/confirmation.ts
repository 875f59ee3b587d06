import { isSha256Base64url, SHA256_BASE64URL_CHARACTERS } from '../jose/base64url.ts';
import { BoundedMemo } from '../../runtime/collections/bounded-memo.ts';
import { made, members, optional, type Reader, text } from '../../runtime/fields.ts';

/** What a token is bound to: the digest of a certificate (RFC 8705) or of a DPoP key (RFC 9449), base64url SHA-256. */
export interface Confirmation {
  readonly kind: 'x5t#S256' | 'jkt';
  readonly thumbprint: string;
}

const thumbprint = text({
  max: SHA256_BASE64URL_CHARACTERS,
  grammar: { matches: isSha256Base64url, words: 'a SHA-256 digest in base64url' },
});

/** The tokens of an agent are mostly bound to the same certificate. */
const certificates = new BoundedMemo<Confirmation>();
const keys = new BoundedMemo<Confirmation>();

const toCertificate = (thumbprint: string): Confirmation => Object.freeze({ kind: 'x5t#S256', thumbprint });
const toKey = (thumbprint: string): Confirmation => Object.freeze({ kind: 'jkt', thumbprint });

/**
 * Parses a `cnf` claim: exactly one of `x5t#S256` and `jkt`. Other bindings could not be checked and are refused.
 *
 * @see RFC 7800 section 3.1, RFC 8705 section 3.1, RFC 9449 section 6.1
 */
export const confirmation: Reader<Confirmation> = made(
  members({ 'x5t#S256': optional(thumbprint), jkt: optional(thumbprint) }),
  ({ 'x5t#S256': certificate, jkt }) => {
    if (certificate !== null && jkt === null) return certificates.of(certificate, toCertificate);
    if (certificate === null && jkt !== null) return keys.of(jkt, toKey);
    return { problem: 'must have exactly one of `x5t#S256` and `jkt`' };
  },
);
