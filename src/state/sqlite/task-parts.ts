import type { StoreFailure } from '../../sqlite/store-failure.ts';
import type { Task } from '../../task/task.ts';
import { partProblem } from '../part-admission.ts';
import type { Connection } from './connection.ts';
import { countOpenParts, taskAt } from './task-table.ts';

/** Within a transaction: why the new task cannot be a part of its parent; `null` where it can, or has no parent. */
export function placeProblem(connection: Connection, task: Task): StoreFailure | null {
  const { issuer, parentId } = task;
  if (parentId === null) return null;
  const parent = taskAt(connection, { issuer, id: parentId });
  const above = parent === undefined ? [] : wholesOf(connection, parent);
  const root = above.at(-1) ?? parent;
  const openParts = root === undefined ? 0 : countOpenParts(connection, root);
  return partProblem({ parent, depth: above.length, openParts }, task, connection.nowMs());
}

/** The ancestors of a task, nearest first. */
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
