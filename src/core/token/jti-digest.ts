import { hash } from 'node:crypto';

/** The digest that identifies a token in records: base64url SHA-256 of its `jti`. */
export function jtiDigestOf(tokenId: string): string {
  if (last.tokenId !== tokenId) last = { tokenId, digest: hash('sha256', tokenId, 'base64url') };
  return last.digest;
}

/** The last result, memoised: a check needs the digest of its token several times. */
let last = { tokenId: '', digest: hash('sha256', '', 'base64url') };
