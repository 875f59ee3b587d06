/** What a use or a declaration takes from the counters of limits (`limits.yaml`), and why a counter gave nothing. */
import type { Limit, LimitEffect } from './limit.ts';

/** What a counter adds up. A `decimal` is an amount in ten-thousandths, so that the two units never mix. */
export type LimitCount = 'calls' | 'amount' | 'decimal' | 'distinct' | 'tasks';

/** What is taken from one counter of a limit. Numbers are whole, from 0 to 2^53 - 1. */
export interface LimitSpend {
  readonly kind: 'limit';
  /** Id of the limit. Its counters are kept by it, so that a changed maximum applies to what was counted. */
  readonly limit: string;
  readonly measure: LimitCount;
  /** JSON of the values of `Limit.per`, in its order; at most 4 KiB. */
  readonly who: string;
  /** Length of a window in milliseconds. Which window it is, the state decides by its own clock. */
  readonly windowMs: number;
  readonly amount: number;
  readonly max: number;
  /** With `distinct`: the SHA-256 of the value, base64url. */
  readonly value?: string;
  readonly effect: LimitEffect;
  /**
   * Set if no share of the limit may be lent although the effect here is `deny`: for enforced uses the limit suspends or stops.
   * Never sent to an authority.
   */
  readonly isUnshared?: true;
}

/** A counter in one window. Instants are in milliseconds since the Unix epoch. */
export interface LimitCounter extends Pick<LimitSpend, 'limit' | 'measure' | 'who'> {
  readonly startsMs: number;
  /** The first instant after the window. */
  readonly endsMs: number;
}

/** A limit that has less left than is taken. */
export interface ExceededLimit {
  readonly limit: string;
  readonly measure: LimitCount | 'openTasks';
  readonly max: number;
  /** Before the use. */
  readonly used: number;
  /** When there is more again; `null` with `openTasks`, of which there is more once a task ends. */
  readonly endsMs: number | null;
}

/** Why nothing was taken: a limit over all tasks has too little left. */
export interface OverLimit {
  readonly problem: 'limit';
  readonly over: ExceededLimit;
}

/** Whether a result says that a limit has too little left. */
export const isOverLimit = (result: unknown): result is OverLimit =>
  typeof result === 'object' &&
  result !== null &&
  'problem' in result &&
  result.problem === 'limit' &&
  'over' in result;

/** What a new task must be within: the counters of declared tasks, and how many may be open. */
export interface TaskLimits {
  readonly spends: readonly LimitSpend[];
  readonly open: readonly OpenTasksLimit[];
}

/** How many tasks may be open at once. */
export interface OpenTasksLimit extends Pick<LimitSpend, 'limit' | 'who' | 'max' | 'effect'> {
  /** Patterns of the agents whose tasks are counted. */
  readonly agents: Limit['agents'];
  /** Whose tasks are counted; `null` for those of every agent that a pattern covers, and of every user. */
  readonly agent: string | null;
  readonly subject: string | null;
}

/** The possible windows: a minute, an hour, a day. */
export const LIMIT_WINDOWS_MS: ReadonlySet<number> = new Set([60_000, 3_600_000, 86_400_000]);

/** Most characters of `LimitSpend.who`. */
export const MAX_WHO = 4_096;

/** Most values that a counter of different values keeps. */
export const MAX_DISTINCT = 10_000;

/** The counter of a spend in the window of an instant. */
export function counterAt(
  { limit, measure, who, windowMs }: Omit<LimitSpend, 'kind' | 'amount' | 'max' | 'effect'>,
  nowMs: number,
): LimitCounter {
  const startsMs = Math.floor(nowMs / windowMs) * windowMs;
  return { limit, measure, who, startsMs, endsMs: startsMs + windowMs };
}

/** A counter as a text, for maps. */
export const counterText = ({ limit, measure, who, startsMs, endsMs }: LimitCounter): string =>
  JSON.stringify([limit, measure, who, startsMs, endsMs]);

/** Why a spend cannot be counted at all; `null` if it can. */
export function limitSpendProblem({ amount, limit, max, measure, value, who, windowMs }: LimitSpend): string | null {
  if (![amount, max].every((number) => Number.isSafeInteger(number) && number >= 0)) {
    return 'an amount of a limit must be a whole number from 0 to 2^53 - 1';
  }
  if (!LIMIT_WINDOWS_MS.has(windowMs)) return 'a window of a limit must be a minute, an hour or a day';
  if (limit.length === 0 || limit.length > 128 || who.length > MAX_WHO) return 'a limit has no id, or too long a text';
  if (measure !== 'distinct') return value === undefined ? null : 'only different values have a value';
  return value !== undefined && amount === 1 && max <= MAX_DISTINCT && DIGEST.test(value)
    ? null
    : `a different value must be a digest, and at most ${MAX_DISTINCT} of them`;
}

const DIGEST = /^[A-Za-z0-9_-]{43}$/;
