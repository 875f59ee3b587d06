/** A token that lives longer than this is no better than a key, in milliseconds. */
const MAX_LIFETIME_MS = 24 * 3_600_000;
/** A payload beyond this is not read: a token of this size is no token that Remit lets pass. */
const MAX_JWT_CHARS = 16_384;
const JWT = /^eyJ[A-Za-z0-9_-]*\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]*$/;

/**
 * When a JWT ends by its own word, which nobody verified, in seconds since the Unix epoch; `Infinity` where it says nothing, `null` for
 * what is none. Never throws.
 */
export function jwtEnd(word: string): number | null {
  if (!word.startsWith('eyJ') || word.length > MAX_JWT_CHARS) return null;
  const payload = JWT.exec(word)?.[1];
  const claims = payload === undefined ? null : claimsOf(payload);
  return claims === null ? null : typeof claims.exp === 'number' ? claims.exp : Infinity;
}

/**
 * Whether what ends then lives longer than 24 hours from now.
 *
 * @param nowMs milliseconds since the Unix epoch
 */
export const isLongLived = (endSeconds: number, nowMs: number): boolean => endSeconds * 1000 > nowMs + MAX_LIFETIME_MS;

function claimsOf(payload: string): { readonly exp?: unknown } | null {
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
    return typeof claims === 'object' && claims !== null && !Array.isArray(claims) ? claims : null;
  } catch {
    return null;
  }
}
