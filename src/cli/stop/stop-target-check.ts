import { stopTargetProblem } from '../../core/decide/stop-target.ts';
import { stoppedUser, stopsAgent } from '../../core/order/order.ts';
import type { StopOrder } from '../../core/order/order.ts';
import { policySourceIn } from '../../core/policy/loading/load.ts';
import { catalogOf } from '../../core/policy/loading/source-catalog.ts';
import { systemDisk } from '../../core/policy/loading/source.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import type { OpenedState } from '../state/opened-state.ts';
import { taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';

type Target = Pick<StopOrder, 'kind' | 'what'>;

/**
 * Refuses a stop of a server or an action that the catalog does not have, with the nearest name. `null` if it has, and for other kinds; a
 * warning if the catalog cannot be read here: a stop never waits for that.
 *
 * @param folder the policy folder; `null` if the policies are a bundle
 */
export async function targetProblem(target: Target, folder: string | null): Promise<string | CommandRefusal | null> {
  if (target.kind !== 'server' && target.kind !== 'action') return null;
  const unread = `the catalog cannot be read here, so it is not known whether there is such a ${target.kind}`;
  if (folder === null) return unread;
  const source = await policySourceIn(folder, systemDisk);
  const catalog = 'findings' in source ? source : await catalogOf(source);
  if ('findings' in catalog) return unread;
  const problem = stopTargetProblem(target, catalog);
  return problem === null ? null : taskRefusal(problem);
}

/** Most tasks that are looked at, the newest. */
const LOOKED_AT = 1_000;

/** A warning if a stop of an agent or a user concerns none of the newest tasks: it may be mistyped. `null` otherwise. */
export async function unseenWarning(target: Target, state: Pick<OpenedState, 'tasks'>): Promise<string | null> {
  if (target.kind !== 'agent' && target.kind !== 'user') return null;
  const tasks = await state.tasks({ limit: LOOKED_AT });
  if (isStoreFailure(tasks)) return null;
  const isMeant =
    target.kind === 'agent'
      ? tasks.some(({ agent }) => stopsAgent(target, agent))
      : tasks.some(({ subject }) => subject === stoppedUser(target).subject);
  return isMeant
    ? null
    : `none of the newest ${LOOKED_AT} tasks is of that ${target.kind}: see \`remit task list\` whether it is named so`;
}
