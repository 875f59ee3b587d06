import { orderDetails } from '../ledger/order-record.ts';
import type { EventRecord } from '../ledger/record.ts';
import type { Order } from '../order/order.ts';
import { isStoreFailure } from '../runtime/store-failure.ts';
import type { StoreFailure } from '../runtime/store-failure.ts';
import type { TaskState } from '../task/task.ts';

/** Whether a change is enforced at the sidecars that held the task. */
export interface Receipt {
  /** Whether no sidecar can use an older state any more. */
  readonly enforced: boolean;
  /** Sidecars that held the task at the change. */
  readonly holders: number;
  /** Those that have applied it. */
  readonly acknowledged: number;
  /** Those whose lease has run out instead. */
  readonly fenced: number;
}

/** A receipt with the time from the commit to it. */
export interface TimedReceipt extends Receipt {
  readonly ms: number;
}

/** Waits for the sidecars in other processes that use tasks. */
export interface Enforcement {
  /** Waits until no sidecar can use an older state of these root tasks, whose changes are committed, for a bounded time. */
  readonly enforced: (roots: readonly string[]) => Promise<Receipt | StoreFailure>;
  readonly monotonicMs: () => number;
}

/** The change is committed; whether it is enforced is unknown. */
const UNKNOWN: Receipt = { enforced: false, holders: 0, acknowledged: 0, fenced: 0 };

/** Waits for the receipt of committed changes of root tasks. */
export async function receiptOf(
  { enforced, monotonicMs }: Enforcement,
  roots: readonly string[] | StoreFailure,
): Promise<TimedReceipt> {
  const beganMs = monotonicMs();
  const receipt = isStoreFailure(roots) ? roots : await enforced(roots);
  const ms = Math.round(monotonicMs() - beganMs);
  return isStoreFailure(receipt) ? { ...UNKNOWN, ms } : { ...receipt, ms };
}

/** What has a receipt: the state that a task was put into, or another change of it. */
export type ReceiptedChange = TaskState | 'context' | 'token-revoked' | 'signal';

/** A receipt in words. */
export const receiptText = ({ enforced, holders, acknowledged, fenced, ms }: TimedReceipt): string =>
  `${enforced ? 'enforced' : 'not enforced'} after ${ms} ms: ${holders} ${holders === 1 ? 'sidecar' : 'sidecars'} held it, ${acknowledged} acknowledged, the lease of ${fenced} ran out`;

/**
 * The record of a receipt. It follows the record of its change: the last change of that kind and task before it.
 *
 * @param of.tasks how many tasks were changed together, whose sidecars the receipt counts
 */
export const receiptRecord = (
  { enforced, holders, acknowledged, fenced, ms }: TimedReceipt,
  of: { readonly task: string; readonly change: ReceiptedChange; readonly at: number; readonly tasks?: number },
): EventRecord => ({
  kind: 'event',
  at: of.at,
  task: of.task,
  event: 'receipt',
  cause: null,
  note: `${of.change} ${receiptText({ enforced, holders, acknowledged, fenced, ms })}`,
  by: 'remit',
  details: { change: of.change, enforced, holders, acknowledged, fenced, ms, tasks: of.tasks ?? 1 },
});

/** The record of a receipt of an order. It follows the record of its change. */
export const orderReceipt = (
  order: Order,
  { enforced, holders, acknowledged, fenced, ms }: TimedReceipt,
  { change, at }: { readonly change: 'order-made' | 'order-lifted'; readonly at: number },
): EventRecord => ({
  kind: 'event',
  at,
  task: null,
  event: 'receipt',
  cause: null,
  note: `${change} ${receiptText({ enforced, holders, acknowledged, fenced, ms })}`,
  by: 'remit',
  details: { ...orderDetails(order), change, enforced, holders, acknowledged, fenced, ms },
});
