import type { IssueFacts } from '../../../core/policy/issue-question.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { Authority } from '../../../core/state/authority.ts';
import type { Task } from '../../../core/task/task.ts';
import { claimLimits } from '../../../core/token/jose/claim-readers.ts';

/** The ancestors of a sub-task, nearest first; at most as many as a chain of actors can have. Empty for a root task. */
export async function ancestorsOf(
  task: Task,
  authority: Pick<Authority, 'taskOf'>,
): Promise<readonly Task[] | StoreFailure> {
  const above: Task[] = [];
  let next = task;
  while (next.parentId !== null && above.length < claimLimits.maxActors) {
    const parent = await authority.taskOf(next.issuer, next.parentId);
    if (isStoreFailure(parent)) return parent;
    if (parent === undefined) break;
    above.push(parent);
    next = parent;
  }
  return above;
}

/**
 * The delegation of a sub-task: its parent's agent, its depth, and the values attested of its ancestors. `undefined` for a root
 * task.
 *
 * @param above the ancestors, nearest first
 */
export function delegationFrom(above: readonly Task[]): IssueFacts['delegation'] {
  const [parent] = above;
  return parent === undefined
    ? undefined
    : { parent: parent.agent, depth: above.length, attested: above.flatMap(({ attested }) => attested) };
}

/**
 * The actors of a task, outermost first: its agent, the agents that delegated it, and the earlier actors of the subject token of
 * another issuer, up to the subject.
 */
export function actorsOf(task: Task, above: readonly Task[]): readonly string[] {
  const agents = [task, ...above].flatMap(({ agent, priorActors = [] }) => [[agent], priorActors]).flat();
  const subject = agents.findIndex((agent) => agent === task.subject);
  return agents.slice(0, subject === -1 ? claimLimits.maxActors : subject).slice(0, claimLimits.maxActors);
}
