import { receiptRecord } from '../fleet/receipt.ts';
import type { TimedReceipt } from '../fleet/receipt.ts';
import { encodedRecord } from '../ledger/encoded-record.ts';
import { isProblem } from '../runtime/problem.ts';
import type { Problem } from '../runtime/problem.ts';
import type { Task } from '../task/task.ts';
import { adminAnswer } from './admin-answer.ts';
import { taskWith } from './opened-state.ts';
import type { WritableState } from './opened-state.ts';
import { isCommandRefusal } from './task-source.ts';
import type { AskedAuthority } from './task-source.ts';

/** Added to twice the lease: the authority answers within that, whatever its sidecars do. */
const MARGIN_MS = 5_000;

/**
 * Asks the running authority for the receipt of the committed change of a task, and adds it to the records. A problem says why there is
 * none: the change stands, and whether sidecars know it is unknown.
 */
export async function taskReceipt(
  state: WritableState,
  task: Task,
  { admin, leaseMs }: AskedAuthority,
): Promise<TimedReceipt | Problem> {
  const root = encodeURIComponent((await rootOf(state, task)).id);
  const text = await adminAnswer(admin, `/receipts/${root}`, { timeoutMs: 2 * leaseMs + MARGIN_MS });
  if (typeof text !== 'string') return text;
  // Safe: the answer of our own server, at the operator's address.
  const receipt = JSON.parse(text) as TimedReceipt;
  const record = encodedRecord(receiptRecord(receipt, { task: task.id, change: task.state, at: state.nowMs() }));
  if (!isProblem(record)) await state.appendRecords([record]);
  return receipt;
}

/** The task at the top of its family, by which sidecars are told of changes. */
async function rootOf(state: WritableState, task: Task): Promise<Task> {
  let root = task;
  while (root.parentId !== null) {
    const parent = await taskWith(state, root.parentId);
    if (isCommandRefusal(parent)) return root;
    root = parent;
  }
  return root;
}
