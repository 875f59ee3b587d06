/** A token that lives longer than this is no better than a key, in milliseconds. */
const MAX_LIFETIME_MS = 24 * 3_600_000;
/** A payload beyond this is not read: a token of this size is no token that Remit lets pass. */
const MAX_JWT_CHARS = 16_384;
const JWT = /^eyJ[A-Za-z0-9_-]*\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]*$/;

/**
 * How long a JWT still lives by its own word, which nobody verified: `short` is 24 hours at most, and `long` is more, or where it
 * says nothing. `null` for what is none. Never throws.
 *
 * @param nowMs milliseconds since the Unix epoch
 */
export function jwtLife(word: string, nowMs: number): 'long' | 'short' | null {
  if (!word.startsWith('eyJ') || word.length > MAX_JWT_CHARS) return null;
  const payload = JWT.exec(word)?.[1];
  if (payload === undefined) return null;
  const claims = claimsOf(payload);
  if (claims === null) return null;
  const { exp } = claims;
  return typeof exp === 'number' && exp * 1000 <= nowMs + MAX_LIFETIME_MS ? 'short' : 'long';
}

function claimsOf(payload: string): { readonly exp?: unknown } | null {
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
    return typeof claims === 'object' && claims !== null && !Array.isArray(claims) ? claims : null;
  } catch {
    return null;
  }
}
