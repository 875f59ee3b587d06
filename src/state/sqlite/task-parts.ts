import { stateAt } from '../../task/task.ts';
import type { Task } from '../../task/task.ts';
import type { Connection } from './connection.ts';
import { storeFailure } from '../../sqlite/store-failure.ts';
import type { StoreFailure } from '../../sqlite/store-failure.ts';
import { countOpenParts, taskAt } from './task-table.ts';

/** Open parts below one task that was declared, and the depth they may reach: an end reaches all of them in one commit. */
const MAX_PARTS = 1_000;
const MAX_DEPTH = 8;

/** Within a transaction: why the new task cannot be a part of its parent; `null` where it can, or has none. */
export function partProblem(connection: Connection, task: Task): StoreFailure | null {
  if (task.parentId === null) return null;
  const parent = taskAt(connection, { issuer: task.issuer, id: task.parentId });
  if (parent === undefined) return storeFailure('conflict', 'there is no task with the id of the parent');
  const state = stateAt(parent, connection.nowMs());
  if (state !== 'active') return storeFailure('conflict', `the task it is part of is \`${state}\``);
  if (task.deadlineMs > parent.deadlineMs) return storeFailure('refused', 'a part outlives the task it is part of');
  if (parent.idleMs !== null && (task.idleMs === null || task.idleMs > parent.idleMs)) {
    return storeFailure('refused', 'a part may idle for longer than the task it is part of');
  }
  return boundProblem(connection, parent);
}

/** The tasks this one is part of, the nearest first. */
function wholesOf(connection: Connection, task: Task): readonly Task[] {
  const above: Task[] = [];
  let next: Task | undefined = task;
  while (next.parentId !== null) {
    next = taskAt(connection, { issuer: task.issuer, id: next.parentId });
    if (next === undefined) break;
    above.push(next);
  }
  return above;
}

function boundProblem(connection: Connection, parent: Task): StoreFailure | null {
  const above = wholesOf(connection, parent);
  if (above.length >= MAX_DEPTH) {
    return storeFailure('conflict', `a task has parts within parts ${MAX_DEPTH} deep at most`);
  }
  const root = above.at(-1) ?? parent;
  return countOpenParts(connection, root) < MAX_PARTS
    ? null
    : storeFailure('conflict', `a task has ${MAX_PARTS} open parts at most`);
}
