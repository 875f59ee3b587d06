import { LRUCache } from 'lru-cache';
import type { SpanReference } from './claims.ts';
import { rememberedWith, reuseClasses } from './reuse.ts';
import type { AllowedUses, Circumstances, ReuseClass } from './reuse.ts';

/** What came before this use of a token, as far as this process remembers. */
export interface TokenUse {
  /** Which use this is, from 1: the first, or a reuse. */
  readonly use: number;
  /** Span of the use before. */
  readonly previous: SpanReference | null;
  /** What it is against the uses that were allowed before. */
  readonly reuse: readonly ReuseClass[];
  readonly circumstances: Circumstances;
}

interface Seen {
  count: number;
  /** The bytes of the ids of a span, as characters: a tenth of a kibibyte less than the span as an object, for each token. */
  last: string | null;
  allowed: AllowedUses | null;
}

const packed = ({ traceId, spanId }: SpanReference): string => Buffer.from(traceId + spanId, 'hex').toString('latin1');

function spanOf(last: string): SpanReference {
  const ids = Buffer.from(last, 'latin1').toString('hex');
  return { traceId: ids.slice(0, 32), spanId: ids.slice(32) };
}

/**
 * Counts the uses of each token and remembers where the allowed ones were made. It remembers `max` tokens; the one unused
 * longest is forgotten first, and its next use then counts as a first one: this is for traces and policies, budgets are kept
 * elsewhere. It is the memory of one process, and begins empty.
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
   * Remembers where a use was allowed. INVARIANT: called before anything is awaited after `next`, so that no second use is
   * classified between the two; and for no use that was denied, which would make a thief's whereabouts familiar.
   */
  allowed(useKey: string, { circumstances }: TokenUse): void {
    const seen = this.#seen.get(useKey);
    if (seen !== undefined) seen.allowed = rememberedWith(seen.allowed, circumstances);
  }

  /** Remembers the span of the latest use, for the link of the next one. */
  traced(useKey: string, span: SpanReference): void {
    const seen = this.#seen.get(useKey);
    if (seen !== undefined) seen.last = packed(span);
  }
}
