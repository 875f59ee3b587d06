import type { Risk } from '../../action/catalog/catalog.ts';
import { DigestTable, NOWHERE } from '../../runtime/collections/digest-table.ts';
import { SharedValues } from '../../runtime/collections/shared-values.ts';

/** The engine's complete answer to one question. Ids are sorted, since the engine's order is not stable. */
export interface FullAnswer {
  readonly decision: 'allow' | 'deny';
  /** Ids of the deciding policies. */
  readonly reason: readonly string[];
  /** Ids of the policies that failed to evaluate. */
  readonly errors: readonly string[];
}

/** Cache result of a question: `hit`; `miss`, after which the answer is stored if it may be cached; `bypass`, not looked up. */
export const CACHE_RESULTS = ['hit', 'miss', 'bypass'] as const;

/** A word of `CACHE_RESULTS`. */
export type CacheResult = (typeof CACHE_RESULTS)[number];

/** Longest time an allow is cached, by the risk of the action, in milliseconds. */
export const RISK_CEILING_MS: Readonly<Record<Risk, number>> = { low: 60_000, medium: 10_000, high: 1_000 };

/** Longest time a denial is cached, for every risk. */
export const DENIAL_CEILING_MS = 5_000;

/** A cached answer. */
export interface KeptAnswer {
  readonly answer: FullAnswer;
  /** Milliseconds since the Unix epoch. */
  readonly untilMs: number;
}

/** When an answer was made, and until when it is valid; milliseconds since the Unix epoch. */
export interface Lasting {
  readonly nowMs: number;
  readonly untilMs: number;
}

/** Columns of each key: the number of its answer; the start and the end of its validity. */
const COLUMNS = { words: 1, doubles: 2 } as const;

/**
 * An LRU cache of `max` answers by question key. Answers with errors and answers without a finite end in the future are not
 * cached. An entry is used only from the instant it was made until its end, so that stepping the wall clock never prolongs it.
 * Equal answers are kept once, since there are far fewer of them than questions.
 */
export class AnswerMemory {
  readonly #entries: DigestTable;
  readonly #answers = new SharedValues<string, FullAnswer>();

  constructor(max: number) {
    this.#entries = new DigestTable(max, COLUMNS, (place) => this.#answers.release(this.#entries.words[place] ?? 0));
  }

  /** Number of entries, including expired entries. */
  get size(): number {
    return this.#entries.size;
  }

  /** The entry of a key, if it is valid at this instant. */
  get(key: string, nowMs: number): KeptAnswer | null {
    const place = this.#entries.find(key);
    if (place === NOWHERE) return null;
    const { words, doubles } = this.#entries;
    const [fromMs = Infinity, untilMs = -Infinity] = [doubles[2 * place], doubles[2 * place + 1]];
    const answer = fromMs <= nowMs && nowMs < untilMs ? this.#answers.of(words[place] ?? 0) : null;
    return answer === null ? null : { answer, untilMs };
  }

  /**
   * Caches an answer until `untilMs`, or for a shorter time.
   *
   * @param key a SHA-256 digest in base64url
   * @param ceilingMs longest lifetime, in milliseconds
   * @returns whether it was cached
   */
  set(key: string, answer: FullAnswer, { nowMs, untilMs }: Lasting, ceilingMs = Infinity): boolean {
    const endMs = Math.min(untilMs, nowMs + ceilingMs);
    if (answer.errors.length > 0 || !Number.isFinite(untilMs) || !Number.isFinite(nowMs) || nowMs >= endMs)
      return false;
    const place = this.#entries.take(key);
    const { words, doubles } = this.#entries;
    const former = words[place] ?? 0;
    words[place] = this.#answers.hold(`${answer.decision} ${JSON.stringify(answer.reason)}`, answer);
    doubles[2 * place] = nowMs;
    doubles[2 * place + 1] = endMs;
    this.#answers.release(former);
    return true;
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }
}

/** Capacity of the cache. */
export interface CacheBounds {
  readonly maxAllows: number;
  readonly maxDenials: number;
}

const DEFAULT_BOUNDS: CacheBounds = { maxAllows: 100_000, maxDenials: 4096 };

/** Caches allows, and denials in a separate cache with a short lifetime, so that a flood of denials evicts no allow. */
export class DecisionCache {
  readonly #allows: AnswerMemory;
  readonly #denials: AnswerMemory;

  constructor({ maxAllows, maxDenials }: CacheBounds = DEFAULT_BOUNDS) {
    this.#allows = new AnswerMemory(maxAllows);
    this.#denials = new AnswerMemory(maxDenials);
  }

  /** Number of entries, including expired entries. */
  get sizes(): { readonly allows: number; readonly denials: number } {
    return { allows: this.#allows.size, denials: this.#denials.size };
  }

  /** The cached answer of a key, if it is valid at this instant. */
  get(key: string, nowMs: number): FullAnswer | null {
    return (this.#allows.get(key, nowMs) ?? this.#denials.get(key, nowMs))?.answer ?? null;
  }

  /** Caches an answer, until `untilMs` at most, if it may be cached. */
  set(key: string, answer: FullAnswer, lasting: Lasting): void {
    const isAllow = answer.decision === 'allow';
    const [into, other] = isAllow ? [this.#allows, this.#denials] : [this.#denials, this.#allows];
    const isKept = into.set(key, answer, lasting, isAllow ? Infinity : DENIAL_CEILING_MS);
    if (isKept) other.delete(key);
  }
}
