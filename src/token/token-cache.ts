import type { KeyObject } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { TaskClaims } from './claims.ts';
import type { ExternalClaims } from './external-token.ts';

/** A token whose signature was verified, with what has to hold for that to hold still. */
export type VerifiedToken = SignedBy &
  (
    | { readonly kind: 'remit'; readonly claims: TaskClaims }
    | { readonly kind: 'external'; readonly claims: ExternalClaims }
  );

/** Who signed a token, and with what. */
export interface SignedBy {
  readonly issuer: string;
  readonly keyId: string | undefined;
  readonly algorithm: string;
  /** The very key that verified it. */
  readonly key: KeyObject;
}

/**
 * Remembers tokens whose signature was verified, by the digest of the whole token: never by a claim or the signature alone,
 * which another token may have as well. That one is remembered says nothing about its times, its audience, its task or whose it
 * is: those are looked at on every use. It holds `max` tokens; the one unused longest is forgotten first.
 */
export class TokenCache {
  readonly #tokens: LRUCache<string, VerifiedToken>;
  readonly #onLookup: (result: 'hit' | 'miss') => void;

  constructor(max: number, onLookup: (result: 'hit' | 'miss') => void = () => {}) {
    this.#tokens = new LRUCache({ max });
    this.#onLookup = onLookup;
  }

  /** How many tokens are remembered. */
  get size(): number {
    return this.#tokens.size;
  }

  /**
   * The token of a digest, if it is remembered and its key is held still; one whose key is not is forgotten.
   *
   * @param isHeld whether the issuer has that very key now, for tokens of that kind
   */
  get(digest: string, isHeld: (token: VerifiedToken) => boolean): VerifiedToken | null {
    const token = this.#tokens.get(digest);
    const isGood = token !== undefined && isHeld(token);
    if (token !== undefined && !isGood) this.#tokens.delete(digest);
    this.#onLookup(isGood ? 'hit' : 'miss');
    return isGood ? token : null;
  }

  /** Remembers a token under the digest of its whole text. */
  set(digest: string, token: VerifiedToken): void {
    this.#tokens.set(digest, token);
  }
}
