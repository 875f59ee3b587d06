/** What is used of limits, as it is shown. */
import type { LimitCounter } from '../limit/limit-spend.ts';

/** How long a window is kept once it is over: a day. */
export const LIMITS_KEPT_MS = 86_400_000;

/** Most counters of a listing. */
export const MAX_LIMIT_USES = 1_000;

/** Which counters to list: of the windows that are running, those with the most used first. */
export interface LimitUseFilter {
  /** Of one limit; absent, of all. */
  readonly limit?: string;
  /** Whose: the whole text of `who`. */
  readonly who?: string;
}

/** A counter with what is used of it. */
export interface LimitUse extends LimitCounter {
  readonly used: number;
}
