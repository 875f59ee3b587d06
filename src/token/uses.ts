import { LRUCache } from 'lru-cache';
import { upTo } from '../runtime/up-to.ts';
import type { SpanReference } from './claims.ts';
import { rememberedWith, reuseClasses } from './reuse.ts';
import type { AllowedUses, Circumstances, ReuseClass } from './reuse.ts';

/** What is known of the uses of a token up to now. */
export interface UsesSoFar {
  /** Number of the last use. */
  readonly uses: number;
  /** Span of the last use; `null` where it is not known. */
  readonly last: SpanReference | null;
  /** `null` where no use was allowed. */
  readonly allowed: AllowedUses | null;
}

/** The uses of a token before this one, as far as this process remembers or was told. */
export interface TokenUse {
  /** Number of this use: 1 is the first. */
  readonly use: number;
  /** Span of the previous use. */
  readonly previous: SpanReference | null;
  /** Whether the uses before were told by others: this is the first one that this process counts. */
  readonly isTold: boolean;
  /** Classes of this use compared with the allowed ones before; empty while it is not known what others have told of them. */
  readonly reuse: readonly ReuseClass[];
  readonly circumstances: Circumstances;
}

interface Seen {
  count: number;
  /** Bytes of the previous span's ids as Latin-1: about 100 bytes less per token than an object. */
  last: string | null;
  allowed: AllowedUses | null;
  /** Whether it is known what others have told. */
  isTold: boolean;
}

type Told = () => UsesSoFar | null | undefined;

const nothing: Told = () => null;

/** No use can have been allowed here before it is known what others tell: the state of its task is not known either. */
function addTold(seen: Seen, { uses, last, allowed }: UsesSoFar): void {
  seen.count += uses;
  seen.last = last === null ? seen.last : packed(last);
  seen.allowed = allowed;
}

const packed = ({ traceId, spanId }: SpanReference): string => Buffer.from(traceId + spanId, 'hex').toString('latin1');

function spanOf(last: string): SpanReference {
  const ids = Buffer.from(last, 'latin1').toString('hex');
  return { traceId: ids.slice(0, 32), spanId: ids.slice(32) };
}

/**
 * Counts the uses of each token and remembers where allowed ones were made. An LRU map of `max` tokens in the memory of one
 * process; after eviction a token's next use counts as its first here. For traces and policies; budgets are kept elsewhere.
 */
export class TokenUses {
  readonly #seen: LRUCache<string, Seen>;

  constructor(max: number) {
    this.#seen = new LRUCache(upTo(max));
  }

  /**
   * Counts one use of the verified token with this `useKey`.
   *
   * @param told what others have told of its uses, `undefined` while that is not known; called for the first use that is counted here, and
   *   then until it is known
   */
  next(useKey: string, circumstances: Circumstances, told: Told = nothing): TokenUse {
    const seen = this.#seen.get(useKey) ?? { count: 0, last: null, allowed: null, isTold: false };
    this.#seen.set(useKey, seen);
    const before = seen.isTold ? null : told();
    if (before !== undefined) seen.isTold = true;
    if (before !== undefined && before !== null) addTold(seen, before);
    seen.count += 1;
    return {
      use: seen.count,
      previous: seen.last === null ? null : spanOf(seen.last),
      isTold: before !== null && before !== undefined,
      reuse: seen.isTold ? reuseClasses(seen.allowed, circumstances) : [],
      circumstances,
    };
  }

  /**
   * Remembers where a use was allowed. INVARIANT: called without an await after `next`, so that no second use is classified in
   * between, and never for a denied use, which would make a thief's location look familiar.
   *
   * @returns whether it is the first allowed use, or another server or risk class than before
   */
  allowed(useKey: string, { circumstances }: TokenUse): boolean {
    const seen = this.#seen.get(useKey);
    if (seen === undefined) return false;
    const before = seen.allowed?.places;
    seen.allowed = rememberedWith(seen.allowed, circumstances);
    const { servers, risks } = seen.allowed.places;
    return before?.servers !== servers || before.risks !== risks;
  }

  /** What is known of the uses of a token; `null` where it is not remembered. */
  soFar(useKey: string): UsesSoFar | null {
    const seen = this.#seen.get(useKey);
    if (seen === undefined) return null;
    return { uses: seen.count, last: seen.last === null ? null : spanOf(seen.last), allowed: seen.allowed };
  }

  /** Remembers the span of the latest use, so that the next one can link to it. */
  traced(useKey: string, span: SpanReference): void {
    const seen = this.#seen.get(useKey);
    if (seen !== undefined) seen.last = packed(span);
  }
}
