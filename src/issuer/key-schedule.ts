/** A key that has been published, and since when: milliseconds since the Unix epoch. */
export interface Published {
  readonly keyId: string;
  readonly publishedMs: number;
}

/** Clients and sidecars may hold a key set for this long: the `max-age` of the JWKS. 300 s. */
export const JWKS_MAX_AGE_SECONDS = 300;
/** A key signs only when every set held elsewhere has it: the `max-age`, and a minute for slow refreshes and clocks. */
const AHEAD_MS = (JWKS_MAX_AGE_SECONDS + 60) * 1_000;
/** A key that no longer signs stays published for the longest token, 900 s, and a minute of clock skew. */
const KEPT_MS = (900 + 60) * 1_000;

/** What each key is for at one instant. */
export interface Schedule {
  /** Signs now; `null` where no key can. */
  readonly signing: string | null;
  /** To be published, the newest first. */
  readonly published: readonly string[];
  /** No token signed with one of these can be live. */
  readonly dead: readonly string[];
}

/**
 * Which key signs, which are published and which are done with. The newest key that has been published long enough signs;
 * where none has, which is so at the first start and after a key was taken away, the oldest does, since something must.
 *
 * @param keys with `canSign`: whether the private half is at hand
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
