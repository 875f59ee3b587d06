import type { StoreFailure } from '../runtime/store-failure.ts';
import { KEYS_ROOT } from './shared-keys.ts';

/**
 * What changed of a root task: a task or token of its family, or only their common history. `keys` and `orders` are of no task, and concern
 * all sidecars: the keys by which tokens are verified, and the orders of operators.
 */
export type ChangedPart = 'task' | 'history' | 'keys' | 'orders';

/** The root task of feed changes of the orders. No task has this id. */
export const ORDERS_ROOT = 'orders';

/** The root tasks of changes that concern all sidecars. */
export const ROOTS_OF_ALL: readonly string[] = [KEYS_ROOT, ORDERS_ROOT];

/** The part of a change as it is stored. */
export const changedPartOf = (root: string, isHistory: boolean): ChangedPart => {
  if (root === KEYS_ROOT) return 'keys';
  if (root === ORDERS_ROOT) return 'orders';
  return isHistory ? 'history' : 'task';
};

/** One change. */
export interface FeedChange {
  /** Id of the root task. */
  readonly root: string;
  readonly part: ChangedPart;
}

/** The changes since a position of the feed. */
export interface FeedChanges {
  /** In commit order. */
  readonly changes: readonly FeedChange[];
  /** The position to ask from next. */
  readonly position: number;
}

/**
 * The feed of changes to what decisions depend on, by any process. Each change is in the feed in the same commit, numbered from 1 in commit
 * order, without a gap. A restarted idle time is not in the feed, since it only prolongs a task: a reader that finds a task idle for too
 * long must read it again.
 */
export interface Feed {
  /** The number of the last change; 0 before the first. */
  feedEnd(): Promise<number | StoreFailure>;
  /**
   * The changes after a position; `null` if some of them are no longer kept (at least the last 4,096 are). Then anything may have
   * changed.
   */
  feedAfter(position: number): Promise<FeedChanges | null | StoreFailure>;
}
