import type { StoreFailure } from '../sqlite/store-failure.ts';

/** What was changed since a position of the feed. */
export interface FeedChanges {
  /** Ids of the tasks that were declared themselves, of which they, a part, a token or the history changed; in the order of the commits. */
  readonly roots: readonly string[];
  /** From where to ask next. */
  readonly position: number;
}

/**
 * The changes of what uses are judged by, whoever made them: each is in the feed in the same commit, numbered from 1 in the order of
 * the commits and without a gap. An idle time that starts anew is not in it, since that only prolongs a task: whoever finds a task
 * idle for too long looks again.
 */
export interface Feed {
  /** The number of the last change; 0 before the first. */
  feedEnd(): number | StoreFailure;
  /** The changes after a position; `null` where some of them are not kept any more (the last 4,096 are): then anything may have changed. */
  feedAfter(position: number): FeedChanges | null | StoreFailure;
}
