import { hash } from 'node:crypto';

/**
 * The identity of a token regardless of its text: base64url SHA-256 of issuer and `jti`, which is unique per issuer. The digest
 * of the text would not do: an ES256 signature (r, s) can be rewritten as (r, n-s), which verifies too, and the issuer may sign
 * the same claims again with another header.
 *
 * @see RFC 7519 section 4.1.7
 */
export const useKeyOf = (issuer: string, tokenId: string): string =>
  hash('sha256', JSON.stringify([issuer, tokenId]), 'base64url');
