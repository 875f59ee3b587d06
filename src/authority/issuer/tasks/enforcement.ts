import { receiptOf, receiptRecord } from '../../../core/fleet/receipt.ts';
import type { ReceiptedChange, TimedReceipt } from '../../../core/fleet/receipt.ts';
import { encodedRecord } from '../../../core/ledger/encoded-record.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { Task } from '../../../core/task/task.ts';
import { ancestorsOf } from '../token/ancestors.ts';
import type { IssuerRequest, IssuerServices } from '../services.ts';

/** What the wait for receipts needs. */
type Services = Pick<IssuerServices, 'enforcement' | 'authority'>;

/** The members of a task by which its root task, and so its sidecars, are found. */
type ChangedTask = Pick<Task, 'issuer' | 'id' | 'parentId'>;

/**
 * Waits for the receipt of a committed change of a task and records it, unless the request has `?wait=committed`.
 * @returns the members of the reply with the receipt; empty if it was not waited for, or if no sidecars are served
 */
export async function enforcementOf(
  { task, change }: { readonly task: ChangedTask; readonly change: ReceiptedChange },
  { wait }: Pick<IssuerRequest, 'wait'>,
  services: Services,
): Promise<{ readonly enforcement?: TimedReceipt }> {
  const { enforcement, authority } = services;
  if (enforcement === undefined || wait === 'committed') return {};
  const root = await rootOf(task, authority);
  const receipt = await receiptOf(enforcement, isStoreFailure(root) ? root : [root]);
  const record = encodedRecord(receiptRecord(receipt, { task: task.id, change, at: authority.nowMs() }));
  // The reply does not wait for the record. A failed write is a value, not a rejection.
  if (!isProblem(record)) void authority.appendRecords([record]);
  return { enforcement: receipt };
}

/** Root tasks whose receipts are waited for together. */
const AT_ONCE = 256;

/**
 * Waits for the receipts of committed changes of many tasks, if sidecars are served, and records them. Returns whether no sidecar can use
 * an older state of any of them.
 */
export async function waitForAll(
  tasks: Iterable<ChangedTask>,
  change: ReceiptedChange,
  services: Services,
): Promise<boolean> {
  const { enforcement, authority } = services;
  if (enforcement === undefined) return true;
  const families = new Map<string, ChangedTask[]>();
  let isEnforced = true;
  for (const task of tasks) {
    const root = await rootOf(task, authority);
    if (typeof root === 'string') families.set(root, [...(families.get(root) ?? []), task]);
    else isEnforced = false;
  }
  const all = [...families];
  for (let from = 0; from < all.length; from += AT_ONCE) {
    const some = all.slice(from, from + AT_ONCE);
    const roots = some.map(([root]) => root);
    const receipt = await receiptOf(enforcement, roots);
    isEnforced &&= receipt.enforced;
    const changed = some.flatMap(([, family]) => family);
    const of = { change, at: authority.nowMs(), tasks: changed.length };
    const records = changed.map(({ id }) => encodedRecord(receiptRecord(receipt, { ...of, task: id })));
    // The receipt is valid even if its records cannot be written.
    await authority.appendRecords(records.flatMap((record) => (isProblem(record) ? [] : [record])));
  }
  return isEnforced;
}

/** The id of the root task, under which changes are sent to sidecars. */
async function rootOf(task: ChangedTask, authority: IssuerServices['authority']): Promise<string | StoreFailure> {
  if (task.parentId === null) return task.id;
  const whole = await authority.taskOf(task.issuer, task.id);
  if (whole === undefined) return task.id;
  if (isStoreFailure(whole)) return whole;
  const above = await ancestorsOf(whole, authority);
  return isStoreFailure(above) ? above : (above.at(-1)?.id ?? task.id);
}
