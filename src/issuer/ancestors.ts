import { isStoreFailure } from '../sqlite/store-failure.ts';
import type { StoreFailure } from '../sqlite/store-failure.ts';
import type { Store } from '../state/store.ts';
import type { Task } from '../task/task.ts';
import { claimLimits } from '../token/claim-readers.ts';

/** The tasks that a task is a part of, the nearest first; at most as many as a chain of actors has. */
export function ancestorsOf(task: Task, store: Pick<Store, 'taskOf'>): readonly Task[] | StoreFailure {
  const above: Task[] = [];
  let next = task;
  while (next.parentId !== null && above.length < claimLimits.maxActors) {
    const parent = store.taskOf(next.issuer, next.parentId);
    if (isStoreFailure(parent)) return parent;
    if (parent === undefined) break;
    above.push(parent);
    next = parent;
  }
  return above;
}
