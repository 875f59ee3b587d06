import { DigestTable, NOWHERE } from '../runtime/collections/digest-table.ts';
import { SharedValues } from '../runtime/collections/shared-values.ts';
import type { SpanReference } from './claims.ts';
import { MAX_REMEMBERED_USES, rememberedWith, reuseClasses } from './reuse.ts';
import type { AllowedUses, Circumstances, UsePlaces, ReuseClass } from './reuse.ts';

/** What is known of the uses of a token up to now. */
export interface UsesSoFar {
  /** Number of the last use. */
  readonly uses: number;
  /** Span of the last use; `null` if it is not known. */
  readonly last: SpanReference | null;
  /** `null` if no use was allowed. */
  readonly allowed: AllowedUses | null;
}

/** The earlier uses of a token, as far as this process has counted them or received them from others. */
export interface TokenUse {
  /** Number of this use: 1 is the first. */
  readonly use: number;
  /** Span of the previous use. */
  readonly previous: SpanReference | null;
  /** Whether the earlier uses were reported by others: this is the first use that this process counts. */
  readonly isTold: boolean;
  /** Classes of this use compared with the earlier allowed uses; empty until the reports of others are known. */
  readonly reuse: readonly ReuseClass[];
  readonly circumstances: Circumstances;
}

type UsesElsewhere = () => UsesSoFar | null | undefined;

const nothing: UsesElsewhere = () => null;

/** Columns of 32-bit words for each token, besides the number of its uses: first the flags. */
const FLAGS = 0;
/** Number of its places in `SharedValues`. */
const PLACES = 1;
/** Trace and span ID of the last use. */
const LAST = 2;
const TRACES = LAST + 6;
const WORDS = TRACES + MAX_REMEMBERED_USES;

/** The reports of others are known. */
const IS_ASKED = 1;
const HAS_LAST = 2;
/** The number of traces, in the bits above the flags. */
const TRACES_SHIFT = 8;

const WORD_BYTES = 4;
const TRACE_ID_BYTES = 16;
const SPAN_ID_BYTES = 8;

/**
 * Counts the uses of each token and remembers where allowed uses were made. An LRU memory of `max` tokens in one process; after eviction a
 * token's next use counts as its first here. For traces and policies; budgets are kept elsewhere.
 */
export class TokenUses {
  readonly #seen: DigestTable;
  /** Most tokens are used from one place, over a connection that other tokens share. */
  readonly #places = new SharedValues<UsePlaces, UsePlaces>();

  constructor(max: number) {
    this.#seen = new DigestTable(max, { words: WORDS, doubles: 1 }, (place) =>
      this.#places.release(this.#word(place, PLACES)),
    );
  }

  /**
   * Counts one use of the verified token with this `useKey`.
   *
   * @param usesElsewhere the uses that others have reported, `undefined` while not known; called for the first use that is counted here, and
   *   then until it is known
   */
  next(useKey: string, circumstances: Circumstances, usesElsewhere: UsesElsewhere = nothing): TokenUse {
    const place = this.#seen.take(useKey);
    const before = this.#is(place, IS_ASKED) ? null : usesElsewhere();
    if (before !== undefined) this.#set(place, FLAGS, this.#word(place, FLAGS) | IS_ASKED);
    if (before !== undefined && before !== null) this.#addTold(place, before);
    const use = this.#countMore(place, 1);
    return {
      use,
      previous: this.#lastOf(place),
      isTold: before !== null && before !== undefined,
      reuse: this.#is(place, IS_ASKED) ? reuseClasses(this.#allowedOf(place), circumstances) : [],
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
    const place = this.#seen.find(useKey);
    if (place === NOWHERE) return false;
    const before = this.#allowedOf(place);
    const now = rememberedWith(before, circumstances);
    this.#remember(place, now);
    return before?.places.servers !== now.places.servers || before.places.risks !== now.places.risks;
  }

  /** The known uses of a token; `null` if it is not remembered. */
  soFar(useKey: string): UsesSoFar | null {
    const place = this.#seen.find(useKey);
    if (place === NOWHERE) return null;
    return { uses: this.#seen.doubles[place] ?? 0, last: this.#lastOf(place), allowed: this.#allowedOf(place) };
  }

  /** Remembers the span of the latest use, so that the next use can link to it. */
  traced(useKey: string, span: SpanReference): void {
    const place = this.#seen.find(useKey);
    if (place !== NOWHERE) this.#trace(place, span);
  }

  /**
   * Adds the uses that others reported. No use can have been allowed here before that: until then the state of its task is not
   * known either.
   */
  #addTold(place: number, { uses, last, allowed }: UsesSoFar): void {
    this.#countMore(place, uses);
    if (last !== null) this.#trace(place, last);
    if (allowed !== null) this.#remember(place, allowed);
  }

  /** Counts more uses. @returns how many there are then */
  #countMore(place: number, uses: number): number {
    const { doubles } = this.#seen;
    return (doubles[place] = (doubles[place] ?? 0) + uses);
  }

  #word(place: number, column: number): number {
    return this.#seen.words[place * WORDS + column] ?? 0;
  }

  #set(place: number, column: number, value: number): void {
    this.#seen.words[place * WORDS + column] = value;
  }

  #is(place: number, flag: number): boolean {
    return (this.#word(place, FLAGS) & flag) !== 0;
  }

  #trace(place: number, { traceId, spanId }: SpanReference): void {
    const at = (place * WORDS + LAST) * WORD_BYTES;
    this.#seen.bytes.write(traceId, at, TRACE_ID_BYTES, 'hex');
    this.#seen.bytes.write(spanId, at + TRACE_ID_BYTES, SPAN_ID_BYTES, 'hex');
    this.#set(place, FLAGS, this.#word(place, FLAGS) | HAS_LAST);
  }

  #lastOf(place: number): SpanReference | null {
    if (!this.#is(place, HAS_LAST)) return null;
    const at = (place * WORDS + LAST) * WORD_BYTES;
    const { bytes } = this.#seen;
    const traceEnd = at + TRACE_ID_BYTES;
    return {
      traceId: bytes.toString('hex', at, traceEnd),
      spanId: bytes.toString('hex', traceEnd, traceEnd + SPAN_ID_BYTES),
    };
  }

  #allowedOf(place: number): AllowedUses | null {
    const places = this.#places.of(this.#word(place, PLACES));
    if (places === null) return null;
    const traces: number[] = [];
    const count = this.#word(place, FLAGS) >>> TRACES_SHIFT;
    for (let index = 0; index < count; index += 1) traces.push(this.#word(place, TRACES + index));
    return { traces, places };
  }

  #remember(place: number, { traces, places }: AllowedUses): void {
    const former = this.#word(place, PLACES);
    this.#set(place, PLACES, this.#places.hold(places, places));
    this.#places.release(former);
    // Never more than there is room for: behind it lie the words of another token.
    const latest = traces.slice(-MAX_REMEMBERED_USES);
    this.#seen.words.set(latest, place * WORDS + TRACES);
    const flags = this.#word(place, FLAGS) & ((1 << TRACES_SHIFT) - 1);
    this.#set(place, FLAGS, flags | (latest.length << TRACES_SHIFT));
  }
}
