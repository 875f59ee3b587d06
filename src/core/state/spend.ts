import type { LimitSpend, OverLimit } from '../limit/limit-spend.ts';

/**
 * What one use takes from the budgets of its task, counted for the whole task: a further token resets nothing. Each `name` (default
 * `''`) is a separate counter within its kind. Numbers are whole, from 0 to 2^53 - 1.
 */
export type TaskSpend =
  | {
      readonly kind: 'calls';
      readonly name?: string;
      readonly limit: number;
      /** Default 1; more if a part of the task gets that many calls. */
      readonly count?: number;
    }
  | { readonly kind: 'amount'; readonly name: string; readonly amount: number; readonly limit: number }
  /** Both numbers are ten-thousandths. */
  | { readonly kind: 'decimal'; readonly name: string; readonly amount: number; readonly limit: number }
  | { readonly kind: 'single-use'; readonly name?: string };

/** What one use takes: from the budgets of its task, and from the limits over all tasks. */
export type Spend = TaskSpend | LimitSpend;

/**
 * Why nothing was spent: a limit is reached (`exhausted`), a single-use token was used (`replayed`), the task is not active or the token is
 * revoked (`ended`), the history changed since the decision, or it is full.
 */
export type SpendProblem = 'exhausted' | 'replayed' | 'ended' | 'history-changed' | 'history-full';

/** A budget that has less left than a use takes. */
export interface ExceededBudget {
  /** Calls, or the unit of an amount; with `decimal` ten-thousandths of it. */
  readonly limit: number;
  /** Before the use. */
  readonly used: number;
  readonly decimal?: boolean;
}

/** A use that was not settled because it takes more than a budget has left; `null` if the budget is not known. */
export interface Exhausted {
  readonly problem: 'exhausted';
  readonly budget: ExceededBudget | null;
}

/** Why a use was not settled. */
export type SettleProblem = Exclude<SpendProblem, 'exhausted'> | Exhausted | OverLimit;

/** A settled use that wanted more than it takes: what it got of each spend beyond its own amount. It counts as spent until it is given back. */
export interface Lent {
  readonly lent: readonly number[];
}

/**
 * A settled use that took from limits over all tasks: what each of those spends left of its counter, in their order and unit. What was lent to
 * other processes is not in it.
 */
export interface LimitsLeft {
  readonly left: readonly number[];
}

/** What a new part takes from its parent, and with which token of the parent. */
export interface HandedOn {
  readonly jtiDigest: string;
  readonly spends: readonly TaskSpend[];
}
