import { receiptRecord } from '../../core/fleet/receipt.ts';
import type { TimedReceipt } from '../../core/fleet/receipt.ts';
import { encodedRecord } from '../../core/ledger/encoded-record.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import type { Task } from '../../core/task/task.ts';
import { askedReceipt } from './asked-receipt.ts';
import { taskWith } from '../state/opened-state.ts';
import type { WritableState } from '../state/opened-state.ts';
import { isCommandRefusal } from './task-source.ts';
import type { AskedAuthority } from './task-source.ts';

/** The receipt of the committed change of a task, as `askedReceipt`. It is recorded; a failure to record it is ignored. */
export async function taskReceipt(
  state: WritableState,
  task: Task,
  authority: AskedAuthority,
): Promise<TimedReceipt | Problem> {
  const receipt = await askedReceipt(authority, (await rootOf(state, task)).id);
  if (isProblem(receipt)) return receipt;
  const record = encodedRecord(receiptRecord(receipt, { task: task.id, change: task.state, at: state.nowMs() }));
  if (!isProblem(record)) await state.appendRecords([record]);
  return receipt;
}

/** The root of the task's family, by which sidecars receive changes; the last task that could be read if a parent could not. */
async function rootOf(state: WritableState, task: Task): Promise<Task> {
  let root = task;
  while (root.parentId !== null) {
    const parent = await taskWith(state, root.parentId);
    if (isCommandRefusal(parent)) return root;
    root = parent;
  }
  return root;
}
