import { LRUCache } from 'lru-cache';

/** A token that lives longer than this is no better than a key, in milliseconds. */
const MAX_LIFETIME_MS = 24 * 3_600_000;
/** So many payloads are remembered, up to a length, since the token of a task comes with every call of it. */
const MAX_REMEMBERED = 1_024;
const MAX_REMEMBERED_CHARS = 2_048;
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
  const ends = endOf(payload);
  if (ends === null) return null;
  return ends * 1000 <= nowMs + MAX_LIFETIME_MS ? 'short' : 'long';
}

/** `exp` of claims in base64url, `Infinity` where they have none; `null` for what are no claims. */
function endOf(payload: string): number | null {
  const known = remembered.get(payload);
  if (known !== undefined) return known.end;
  const claims = claimsOf(payload);
  const end = claims === null ? null : typeof claims.exp === 'number' ? claims.exp : Infinity;
  if (payload.length <= MAX_REMEMBERED_CHARS) remembered.set(payload, { end });
  return end;
}

const remembered = new LRUCache<string, { readonly end: number | null }>({ max: MAX_REMEMBERED });

function claimsOf(payload: string): { readonly exp?: unknown } | null {
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
    return typeof claims === 'object' && claims !== null && !Array.isArray(claims) ? claims : null;
  } catch {
    return null;
  }
}
