import type { SharedKey } from '../../../core/state/shared-keys.ts';

/**
 * How long the authority of a key must be silent before the key is removed: the 2 minutes after which it would sign no more, the longest life
 * of a token, 900 s, and 2 minutes for clock skew.
 */
export const KEPT_MS = (120 + 900 + 120) * 1_000;
/** After a longer pause between two looks, silence proves nothing: the database may have been away. */
const MAX_PAUSE_MS = 120_000;

/**
 * Finds keys whose authority is silent: by the monotonic clock of the observing authority, so that no step of another clock removes a key.
 * Pure.
 */
export class SilentKeys {
  #since: ReadonlyMap<string, { readonly seen: string; readonly sinceMs: number }> = new Map();
  #lookedMs = Number.NEGATIVE_INFINITY;

  /** Looks at the keys as they are now. Gives those whose last token has expired. */
  after(
    keys: readonly Pick<SharedKey, 'keyId' | 'seen'>[],
    monotonicMs: number,
  ): readonly Pick<SharedKey, 'keyId' | 'seen'>[] {
    const before = monotonicMs - this.#lookedMs > MAX_PAUSE_MS ? null : this.#since;
    this.#lookedMs = monotonicMs;
    this.#since = new Map(
      keys.map(({ keyId, seen }) => {
        const known = before?.get(keyId);
        return [keyId, { seen, sinceMs: known?.seen === seen ? known.sinceMs : monotonicMs }];
      }),
    );
    return [...this.#since].flatMap(([keyId, { seen, sinceMs }]) =>
      monotonicMs - sinceMs >= KEPT_MS ? [{ keyId, seen }] : [],
    );
  }
}
