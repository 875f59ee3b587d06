import type { HistoryEntry } from '../task/history.ts';
import type { StoreFailure } from '../sqlite/store-failure.ts';
import type { Spend, SpendProblem, TaskKey } from './store.ts';

/** A use that takes something from its task: of its budgets, its single use, or a new entry of its history. */
export interface SettledUse {
  /** Id of the decision, a UUID: the same id settles once, however often it is sent. */
  readonly decisionId: string;
  readonly key: TaskKey;
  readonly jtiDigest: string;
  readonly spends: readonly Spend[];
  /** What the use adds to the history, with the version of the history that it was decided by. */
  readonly entry?: HistoryEntry;
}

/**
 * What came of it: `null` where it counts and is on disk; a problem, and nothing was taken; or a failure, after which the outcome is
 * unknown until the same use is settled again.
 */
export type Settlement = null | SpendProblem | StoreFailure;

/** Makes uses count. The uses of one turn of the event loop share a transaction, in the order of the calls. */
export interface Settling {
  settle(use: SettledUse): Promise<Settlement>;
}
