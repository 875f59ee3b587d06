import { LRUCache } from 'lru-cache';
import type { Risk } from '../../action/catalog.ts';

/** A whole answer of the engine to one question. Ids are sorted, since the engine's own order is not stable. */
export interface FullAnswer {
  readonly decision: 'allow' | 'deny';
  /** Ids of the policies that decided. */
  readonly reason: readonly string[];
  /** Ids of the policies that could not be evaluated. */
  readonly errors: readonly string[];
}

/** What became of a question at a cache: answered from it, not there and put into it if the answer may be kept, or not for it. */
export const CACHE_RESULTS = ['hit', 'miss', 'bypass'] as const;

/** One of `CACHE_RESULTS`. */
export type CacheResult = (typeof CACHE_RESULTS)[number];

/** The longest an answer is kept, by the risk of the action, in milliseconds. */
export const RISK_CEILING_MS: Readonly<Record<Risk, number>> = { low: 60_000, medium: 10_000, high: 1_000 };

/** The longest a denial is kept, whatever the risk. */
export const DENIAL_CEILING_MS = 5_000;

/** An answer that is kept. */
export interface KeptAnswer {
  readonly answer: FullAnswer;
  /** Milliseconds since the Unix epoch. */
  readonly fromMs: number;
  readonly untilMs: number;
}

/** When an answer was made, and until when it may be kept; milliseconds since the Unix epoch. */
export interface Lasting {
  readonly nowMs: number;
  readonly untilMs: number;
}

/**
 * Keeps whole answers by the key of their question, `max` of them; where it is full, what was unused longest goes. An answer with
 * errors is never kept, nor one without a finite end to come. An entry is good only at and after the instant it was made at
 * and before its end, so that a wall clock that steps either way never prolongs it.
 */
export class AnswerMemory {
  readonly #entries: LRUCache<string, KeptAnswer>;
  /** Equal answers are one object, since there are far fewer of them than questions. */
  readonly #shared = new LRUCache<string, FullAnswer>({ max: MAX_SHARED });

  constructor(max: number) {
    this.#entries = new LRUCache({ max });
  }

  /** Answers kept at the moment, those past their end included. */
  get size(): number {
    return this.#entries.size;
  }

  /** What is kept for a key, if it is good at this instant. */
  get(key: string, nowMs: number): KeptAnswer | null {
    const entry = this.#entries.get(key);
    return entry !== undefined && entry.fromMs <= nowMs && nowMs < entry.untilMs ? entry : null;
  }

  /**
   * Keeps an answer until `untilMs`, or for a shorter time.
   *
   * @param ceilingMs the longest it is kept, in milliseconds
   * @returns whether it is kept
   */
  set(key: string, answer: FullAnswer, { nowMs, untilMs }: Lasting, ceilingMs = Infinity): boolean {
    const endMs = Math.min(untilMs, nowMs + ceilingMs);
    if (answer.errors.length > 0 || !Number.isFinite(untilMs) || !Number.isFinite(nowMs) || nowMs >= endMs)
      return false;
    this.#entries.set(key, { answer: this.#one(answer), fromMs: nowMs, untilMs: endMs });
    return true;
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  #one(answer: FullAnswer): FullAnswer {
    const name = `${answer.decision} ${JSON.stringify(answer.reason)}`;
    const known = this.#shared.get(name);
    if (known !== undefined) return known;
    this.#shared.set(name, answer);
    return answer;
  }
}

/** How many answers are kept. */
export interface CacheBounds {
  readonly maxAllows: number;
  readonly maxDenials: number;
}

const DEFAULT_BOUNDS: CacheBounds = { maxAllows: 100_000, maxDenials: 4096 };
const MAX_SHARED = 4096;

/** Keeps allows, and denials in a memory of their own and for a short time, so that a flood of them drives no allow out. */
export class DecisionCache {
  readonly #allows: AnswerMemory;
  readonly #denials: AnswerMemory;

  constructor({ maxAllows, maxDenials }: CacheBounds = DEFAULT_BOUNDS) {
    this.#allows = new AnswerMemory(maxAllows);
    this.#denials = new AnswerMemory(maxDenials);
  }

  /** Answers kept at the moment, those past their end included. */
  get sizes(): { readonly allows: number; readonly denials: number } {
    return { allows: this.#allows.size, denials: this.#denials.size };
  }

  /** The answer kept for a key, if it is good at this instant. */
  get(key: string, nowMs: number): FullAnswer | null {
    return (this.#allows.get(key, nowMs) ?? this.#denials.get(key, nowMs))?.answer ?? null;
  }

  /** Keeps an answer until `untilMs`, or for a shorter time, or not at all. */
  set(key: string, answer: FullAnswer, lasting: Lasting): void {
    const isAllow = answer.decision === 'allow';
    const [into, other] = isAllow ? [this.#allows, this.#denials] : [this.#denials, this.#allows];
    const isKept = into.set(key, answer, lasting, isAllow ? Infinity : DENIAL_CEILING_MS);
    if (isKept) other.delete(key);
  }
}
