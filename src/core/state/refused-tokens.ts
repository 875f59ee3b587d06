import { LRUCache } from 'lru-cache';
import { upTo } from '../runtime/collections/up-to.ts';
import type { TaskStanding } from './store-reader.ts';

const MAX_REFUSED = 16_384;

/**
 * Tokens that this process treats as revoked before the state file says so: a stolen token must not work while a write waits. Of
 * more than 16,384 tokens, the least recently used are forgotten; by then most are written or have expired.
 */
export class RefusedTokens {
  /** When each was refused, on the clock of the store. */
  readonly #refused = new LRUCache<string, number>(upTo(MAX_REFUSED));

  add(jtiDigest: string, atMs: number): void {
    if (!this.#refused.has(jtiDigest)) this.#refused.set(jtiDigest, atMs);
  }

  has(jtiDigest: string): boolean {
    return this.#refused.size > 0 && this.#refused.has(jtiDigest);
  }

  /** A token as stored, marked as revoked if it is refused here. */
  of<T extends { readonly revokedAtMs: number | null }>(token: T, jtiDigest: string): T {
    const atMs = this.#refused.size === 0 ? undefined : this.#refused.get(jtiDigest);
    return atMs === undefined || token.revokedAtMs !== null ? token : { ...token, revokedAtMs: atMs };
  }

  /** The state of a use, with its token marked as revoked if it is refused here. */
  inUse<T extends TaskStanding>(state: T, jtiDigest: string): T {
    const { issued } = state;
    if (issued === undefined || this.#refused.size === 0) return state;
    const token = this.of(issued, jtiDigest);
    return token === issued ? state : { ...state, issued: token };
  }
}
