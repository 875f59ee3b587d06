import { hash } from 'node:crypto';

/**
 * The one name of a token whatever its text: base64url SHA-256 of its issuer and its `jti`, which is unique for that issuer alone.
 * The digest of the text is no such name: whoever holds an ES256 token can write its signature (r, s) as (r, n-s), which verifies
 * as well, and the text with another header is signed anew by the issuer for the same token.
 *
 * @see RFC 7519 section 4.1.7
 */
export const useKeyOf = (issuer: string, tokenId: string): string =>
  hash('sha256', JSON.stringify([issuer, tokenId]), 'base64url');
