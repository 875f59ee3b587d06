/** The lifetime of a JWT in a call: if it is too long, the JWT is treated like a long-lived key. */

/** A token with a longer lifetime, in milliseconds, is treated like a long-lived key. */
const MAX_LIFETIME_MS = 24 * 3_600_000;
/** Longest JWT that is parsed: a longer text is not a token that Remit accepts. */
const MAX_JWT_CHARS = 16_384;
const JWT = /^eyJ[A-Za-z0-9_-]*\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]*$/;

/**
 * The unverified `exp` of a JWT, in seconds since the Unix epoch; `Infinity` if it has none, `null` if the text is not a JWT. Never throws.
 */
export function jwtEnd(word: string): number | null {
  if (!word.startsWith('eyJ') || word.length > MAX_JWT_CHARS) return null;
  const payload = JWT.exec(word)?.[1];
  const claims = payload === undefined ? null : claimsOf(payload);
  return claims === null ? null : typeof claims.exp === 'number' ? claims.exp : Infinity;
}

/**
 * Whether an expiry is more than 24 hours from now.
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
