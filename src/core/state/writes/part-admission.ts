import { storeFailure } from '../../runtime/store-failure.ts';
import type { StoreFailure } from '../../runtime/store-failure.ts';
import { stateAt } from '../../task/task.ts';
import type { Task } from '../../task/task.ts';

/** Most open parts below one root task, and their greatest depth. One commit ends all of them. */
const MAX_PARTS = 1_000;
const MAX_DEPTH = 8;

/** The rows from which the admission of a new part is decided. */
export interface PartPlace {
  /** The parent task; `undefined` if it does not exist. */
  readonly parent: Task | undefined;
  /** The depth of the parent below its root task. */
  readonly depth: number;
  /** Open parts of the root task, at any depth. */
  readonly openParts: number;
}

/**
 * Why a task cannot become a part of its parent; `null` if it can. A pure function.
 * @param nowMs `Store.nowMs`
 */
export function partProblem({ parent, depth, openParts }: PartPlace, part: Task, nowMs: number): StoreFailure | null {
  if (parent === undefined) return storeFailure('conflict', 'there is no task with the id of the parent');
  const state = stateAt(parent, nowMs);
  if (state !== 'active') return storeFailure('conflict', `the task it is part of is \`${state}\``);
  if (part.deadlineMs > parent.deadlineMs) return storeFailure('refused', 'a part outlives the task it is part of');
  if (parent.idleMs !== null && (part.idleMs === null || part.idleMs > parent.idleMs)) {
    return storeFailure('refused', 'a part may idle for longer than the task it is part of');
  }
  if (depth >= MAX_DEPTH) {
    return storeFailure('conflict', `a task has parts within parts ${MAX_DEPTH} deep at most`);
  }
  return openParts < MAX_PARTS ? null : storeFailure('conflict', `a task has ${MAX_PARTS} open parts at most`);
}
