import type { KeyObject } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { Sweep } from '../runtime/collections/sweep.ts';
import { upTo } from '../runtime/collections/up-to.ts';
import type { TaskClaims } from './claims.ts';
import type { ExternalClaims } from './external-token.ts';
import { VerifiedSignatures } from './jose/verified-signatures.ts';

/** A token whose signature was verified, and the key that verified it. */
export type VerifiedToken = SignedBy &
  (
    | { readonly kind: 'remit'; readonly claims: TaskClaims }
    | { readonly kind: 'external'; readonly claims: ExternalClaims }
  );

/** The issuer and key that signed a token. */
export interface SignedBy {
  readonly issuer: string;
  readonly keyId: string | undefined;
  readonly algorithm: string;
  /** The key object that verified it. */
  readonly key: KeyObject;
}

/** The cache result of a presented token: it is cached, only its signature is known, or nothing. */
export type TokenLookup = 'hit' | 'signature' | 'miss';

/** How many tokens are held. */
export interface TokenLimits {
  /** With their claims, some 600 bytes each. */
  readonly tokens: number;
  /** Tokens with at least a known signature, 60 bytes each: verifying it takes longest. */
  readonly signatures: number;
}

/**
 * An LRU cache of verified tokens, keyed by the digest of the whole token, never by a claim or the signature alone, which
 * another token may share. Times, audience, task and owner are not cached: they are checked on every use.
 */
export class TokenCache {
  readonly #tokens: LRUCache<string, VerifiedToken>;
  readonly #signatures: VerifiedSignatures;
  readonly #sweep: Sweep<VerifiedToken>;
  readonly #onLookup: (result: TokenLookup) => void;

  constructor({ tokens, signatures }: TokenLimits, onLookup: (result: TokenLookup) => void = () => {}) {
    this.#tokens = new LRUCache(upTo(tokens));
    this.#sweep = new Sweep(this.#tokens);
    this.#signatures = new VerifiedSignatures(signatures);
    this.#onLookup = onLookup;
  }

  /** Number of cached tokens. */
  get size(): number {
    return this.#tokens.size;
  }

  /**
   * The cached token of a digest, if its key is still held; otherwise it is dropped.
   *
   * @param isHeld whether the issuer still has that key for tokens of that kind
   */
  get(digest: string, isHeld: (token: VerifiedToken) => boolean): VerifiedToken | null {
    const token = this.#tokens.get(digest);
    const isGood = token !== undefined && isHeld(token);
    if (token !== undefined && !isGood) this.#tokens.delete(digest);
    const isSigned = token === undefined && this.verifiedBy(digest) !== null;
    this.#onLookup(isGood ? 'hit' : isSigned ? 'signature' : 'miss');
    return isGood ? token : null;
  }

  /** The key that verified the token of a digest; `null` if none is remembered. */
  verifiedBy(digest: string): KeyObject | null {
    return this.#signatures.keyOf(digest);
  }

  /**
   * Caches a token under the digest of its whole text. Now and then those that have expired are dropped: they are not presented
   * any more, and tokens that live for minutes would fill the cache of a process that runs for days.
   *
   * @param nowMs milliseconds since the Unix epoch
   */
  set(digest: string, token: VerifiedToken, nowMs: number): void {
    this.#tokens.set(digest, token);
    this.#signatures.add(digest, token.key);
    this.#sweep.added(({ claims }) => claims.token.expiresAtSeconds <= nowMs / 1_000);
  }
}
