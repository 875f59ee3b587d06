/** When a signing key is published, signs, and is withdrawn. */

/** A published key; `publishedMs` in milliseconds since the Unix epoch. */
export interface Published {
  readonly keyId: string;
  readonly publishedMs: number;
}

/** `max-age` of the JWKS: how long clients and sidecars may cache it. */
export const JWKS_MAX_AGE_SECONDS = 300;
/**
 * Time before a published key signs, so that every cached JWKS contains it: `max-age` plus a minute for slow refreshes and
 * clocks.
 */
export const AHEAD_MS = (JWKS_MAX_AGE_SECONDS + 60) * 1_000;
/** Time that a retired key stays published: the longest token lifetime, 900 s, plus a minute of clock skew. */
const KEPT_MS = (900 + 60) * 1_000;

/** The state of all keys at an instant. */
export interface Schedule {
  /** The key that signs; `null` if no private key is available. */
  readonly signing: string | null;
  /** Keys to publish, newest first. */
  readonly published: readonly string[];
  /** Keys whose tokens have all expired. */
  readonly dead: readonly string[];
}

/**
 * Determines which key signs, which are published and which are dead. The newest key that was published long enough ago signs;
 * if there is none (at the first start, or after a key was withdrawn), the oldest key signs.
 *
 * @param keys `canSign`: whether the private key is available
 */
export function scheduleOf(keys: readonly (Published & { readonly canSign: boolean })[], nowMs: number): Schedule {
  const newestFirst = keys.toSorted((a, b) => b.publishedMs - a.publishedMs || (a.keyId < b.keyId ? -1 : 1));
  const able = newestFirst.filter((key) => key.canSign);
  const signing = able.find((key) => nowMs >= key.publishedMs + AHEAD_MS) ?? able.at(-1) ?? null;
  const isDead = (key: Published): boolean => {
    if (signing === null || key.publishedMs >= signing.publishedMs || key.keyId === signing.keyId) return false;
    const successor = newestFirst.findLast((other) => other.publishedMs > key.publishedMs);
    return successor !== undefined && nowMs >= successor.publishedMs + AHEAD_MS + KEPT_MS;
  };
  return {
    signing: signing?.keyId ?? null,
    published: newestFirst.filter((key) => !isDead(key)).map((key) => key.keyId),
    dead: newestFirst.filter(isDead).map((key) => key.keyId),
  };
}
