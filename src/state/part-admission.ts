import { storeFailure } from '../sqlite/store-failure.ts';
import type { StoreFailure } from '../sqlite/store-failure.ts';
import { stateAt } from '../task/task.ts';
import type { Task } from '../task/task.ts';

/** Open parts below one task that was declared, and the depth they may reach: an end reaches all of them in one commit. */
const MAX_PARTS = 1_000;
const MAX_DEPTH = 8;

/** The rows that a new part of a task is judged by. */
export interface PartPlace {
  /** The task that it is to be a part of; `undefined` where there is no such task. */
  readonly parent: Task | undefined;
  /** How many tasks that parent is a part of, directly and through others. */
  readonly depth: number;
  /** Open parts, at any depth, of the task above all of them that was declared itself. */
  readonly openParts: number;
}

/** Why a task cannot become a part of its parent; `null` where it can. A pure function. @param nowMs `Store.nowMs` */
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
