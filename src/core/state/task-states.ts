import type { Orders } from '../order/orders.ts';
import type { Clocks } from '../runtime/ports.ts';
import type { StoreFailure } from '../runtime/store-failure.ts';
import type { TaskKey } from './store.ts';
import type { TaskStanding, UseState } from './store-reader.ts';

/**
 * The current state of tasks, from the memory of this process. Synchronous, so that a check that takes nothing from its task never waits. A
 * state is never older than the last commit before the look, or before `turn` within a turn.
 */
export interface TaskStates {
  /** One reading of all clocks. One check uses one reading. */
  clocks(): Clocks;
  /** The task, the token with that digest and the history; `undefined` if there is no such task. */
  of(key: TaskKey, jtiDigest: string): UseState | undefined | StoreFailure;
  /** The same without the history, for the last look before an answer: a use that has just added to the history reads nothing again. */
  standing(key: TaskKey, jtiDigest: string): TaskStanding | undefined | StoreFailure;
  /**
   * The orders in force, for the check and for the last look before its answer. If they cannot be read, those that were known last, as
   * `stale`. The same object until they change.
   */
  orders(): Orders;
  /**
   * Treats a token as revoked in this process from now on, before that is written. It cannot fail. Of more than 16,384 tokens, the least
   * recently used are forgotten.
   */
  refuse(jtiDigest: string): void;
  /**
   * Fetches a task and a token that are not cached here, for a later `of`. Resolves also if they are unavailable; then `of` fails. `null`
   * if there is nothing to wait for.
   */
  open(key: TaskKey, jtiDigest: string): Promise<void> | null;
  /** Checks once for new commits, for all looks until `turnOver`. The caller must not await before `turnOver`. */
  turn(): void;
  turnOver(): void;
}
