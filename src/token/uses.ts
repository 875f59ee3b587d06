import { LRUCache } from 'lru-cache';
import type { SpanReference } from './claims.ts';
import { rememberedWith, reuseClasses } from './reuse.ts';
import type { AllowedUses, Circumstances, ReuseClass } from './reuse.ts';

/** The uses of a token before this one, as far as this process remembers. */
export interface TokenUse {
  /** Number of this use: 1 is the first. */
  readonly use: number;
  /** Span of the previous use. */
  readonly previous: SpanReference | null;
  /** Classes of this use compared with the allowed ones before. */
  readonly reuse: readonly ReuseClass[];
  readonly circumstances: Circumstances;
}

interface Seen {
  count: number;
  /** Bytes of the previous span's ids as Latin-1: about 100 bytes less per token than an object. */
  last: string | null;
  allowed: AllowedUses | null;
}

const packed = ({ traceId, spanId }: SpanReference): string => Buffer.from(traceId + spanId, 'hex').toString('latin1');

function spanOf(last: string): SpanReference {
  const ids = Buffer.from(last, 'latin1').toString('hex');
  return { traceId: ids.slice(0, 32), spanId: ids.slice(32) };
}

/**
 * Counts the uses of each token and remembers where allowed ones were made. An LRU map of `max` tokens in the memory of one
 * process; after eviction a token's next use counts as its first. For traces and policies; budgets are kept elsewhere.
 */
export class TokenUses {
  readonly #seen: LRUCache<string, Seen>;

  constructor(max: number) {
    this.#seen = new LRUCache({ max });
  }

  /** Counts one use of the verified token with this `useKey`. */
  next(useKey: string, circumstances: Circumstances): TokenUse {
    const seen = this.#seen.get(useKey) ?? { count: 0, last: null, allowed: null };
    seen.count += 1;
    this.#seen.set(useKey, seen);
    return {
      use: seen.count,
      previous: seen.last === null ? null : spanOf(seen.last),
      reuse: reuseClasses(seen.allowed, circumstances),
      circumstances,
    };
  }

  /**
   * Remembers where a use was allowed. INVARIANT: called without an await after `next`, so that no second use is classified in
   * between, and never for a denied use, which would make a thief's location look familiar.
   */
  allowed(useKey: string, { circumstances }: TokenUse): void {
    const seen = this.#seen.get(useKey);
    if (seen !== undefined) seen.allowed = rememberedWith(seen.allowed, circumstances);
  }

  /** Remembers the span of the latest use, so that the next one can link to it. */
  traced(useKey: string, span: SpanReference): void {
    const seen = this.#seen.get(useKey);
    if (seen !== undefined) seen.last = packed(span);
  }
}
