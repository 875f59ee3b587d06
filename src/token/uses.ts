import { LRUCache } from 'lru-cache';
import type { SpanReference } from './claims.ts';

/** What came before this use of a token, as far as this process remembers. */
export interface TokenUse {
  /** Which use this is, from 1: the first, or a reuse. */
  readonly use: number;
  /** Span of the use before. */
  readonly previous: SpanReference | null;
}

interface Seen {
  count: number;
  last: SpanReference | null;
}

/**
 * Counts the uses of each token. It remembers `max` tokens; the one unused longest is forgotten first, and its next use
 * then counts as a first one: this numbers uses for traces and policies, budgets are kept elsewhere.
 */
export class TokenUses {
  readonly #seen: LRUCache<string, Seen>;

  constructor(max: number) {
    this.#seen = new LRUCache({ max });
  }

  /** Counts one use of the token with this digest. */
  next(digest: string): TokenUse {
    const seen = this.#seen.get(digest) ?? { count: 0, last: null };
    seen.count += 1;
    this.#seen.set(digest, seen);
    return { use: seen.count, previous: seen.last };
  }

  /** Remembers the span of the latest use, for the link of the next one. */
  traced(digest: string, span: SpanReference): void {
    const seen = this.#seen.get(digest);
    if (seen !== undefined) seen.last = span;
  }
}
