import { isStoreFailure } from '../sqlite/store-failure.ts';
import type { StoreFailure } from '../sqlite/store-failure.ts';
import type { Task } from '../task/task.ts';
import { ancestorsOf } from './ancestors.ts';
import type { Receipt } from './receipt.ts';
import type { IssuerRequest, IssuerServices } from './services.ts';

/** The member `enforcement` of a reply. */
export interface EnforcementJson extends Receipt {
  /** Time from the commit to the receipt. */
  readonly ms: number;
}

/**
 * Waits for the receipt of a committed change of a task, unless the request says `?wait=committed`.
 * @returns the members of the reply that tell it; none where it was not waited for, or where no sidecars are served
 */
export async function enforcementOf(
  task: Pick<Task, 'issuer' | 'id' | 'parentId'> | null,
  { wait }: Pick<IssuerRequest, 'wait'>,
  { enforcement, authority }: Pick<IssuerServices, 'enforcement' | 'authority'>,
): Promise<{ readonly enforcement?: EnforcementJson }> {
  if (enforcement === undefined || task === null || wait === 'committed') return {};
  const beganMs = enforcement.monotonicMs();
  const root = await rootOf(task, authority);
  const receipt = isStoreFailure(root) ? root : await enforcement.enforced([root]);
  const ms = Math.round(enforcement.monotonicMs() - beganMs);
  return { enforcement: isStoreFailure(receipt) ? { ...UNKNOWN, ms } : { ...receipt, ms } };
}

/** Root tasks whose receipts are waited for together. */
const AT_ONCE = 256;

/** Waits for the receipts of committed changes of many tasks, where sidecars are served. */
export async function waitForAll(
  tasks: Iterable<Pick<Task, 'issuer' | 'id' | 'parentId'>>,
  { enforcement, authority }: Pick<IssuerServices, 'enforcement' | 'authority'>,
): Promise<void> {
  if (enforcement === undefined) return;
  const roots = new Set<string>();
  for (const task of tasks) {
    const root = await rootOf(task, authority);
    if (typeof root === 'string') roots.add(root);
  }
  const all = [...roots];
  for (let from = 0; from < all.length; from += AT_ONCE) await enforcement.enforced(all.slice(from, from + AT_ONCE));
}

/** The id of the root task, by which sidecars are told of changes. */
async function rootOf(
  task: Pick<Task, 'issuer' | 'id' | 'parentId'>,
  authority: IssuerServices['authority'],
): Promise<string | StoreFailure> {
  if (task.parentId === null) return task.id;
  const whole = await authority.taskOf(task.issuer, task.id);
  if (whole === undefined) return task.id;
  if (isStoreFailure(whole)) return whole;
  const above = await ancestorsOf(whole, authority);
  return isStoreFailure(above) ? above : (above.at(-1)?.id ?? task.id);
}

/** The change is committed; whether it is enforced is unknown. */
const UNKNOWN: Receipt = { enforced: false, holders: 0, acknowledged: 0, fenced: 0 };
