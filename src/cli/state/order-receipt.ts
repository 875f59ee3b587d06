import { orderReceipt } from '../../core/fleet/receipt.ts';
import type { TimedReceipt } from '../../core/fleet/receipt.ts';
import { orderRecords } from '../../authority/issuer/orders/changed-order.ts';
import type { ChangedOrder } from '../../authority/issuer/orders/changed-order.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { ORDERS_ROOT } from '../../core/state/feed.ts';
import type { CommandIo } from '../command.ts';
import { askedReceipt } from '../task/asked-receipt.ts';
import type { AskedAuthority } from '../task/task-source.ts';
import type { WritableState } from './opened-state.ts';

const EVERY_MS = 1_000;

/** A committed change of an order, and the running authority that knows which sidecars have it. */
interface CommittedOrder extends ChangedOrder {
  readonly authority: AskedAuthority;
}

/** Waits for the receipt of a change of an order, with progress on a terminal, and records it; if that fails, it is ignored. */
export async function orderReceiptOf(
  state: Pick<WritableState, 'appendRecords' | 'nowMs'>,
  { order, change, authority }: CommittedOrder,
  { progress }: Pick<CommandIo, 'progress'>,
): Promise<TimedReceipt | Problem> {
  const beganMs = systemPorts.monotonicMs();
  const showProgress = () => {
    const seconds = Math.floor((systemPorts.monotonicMs() - beganMs) / 1_000);
    progress?.(`waiting until every sidecar has it, or its lease is over: ${seconds} s`);
  };
  const ticking = setInterval(showProgress, EVERY_MS);
  try {
    const receipt = await askedReceipt(authority, ORDERS_ROOT);
    if (isProblem(receipt)) return receipt;
    await state.appendRecords(orderRecords(orderReceipt(order, receipt, { change, at: state.nowMs() })));
    return receipt;
  } finally {
    clearInterval(ticking);
    progress?.('');
  }
}

/** A receipt of an order in words. */
export const orderReceiptText = ({ enforced, holders, acknowledged, fenced, ms }: TimedReceipt): string =>
  `${enforced ? 'enforced' : 'not enforced'} after ${ms} ms at ${holders} ${holders === 1 ? 'sidecar' : 'sidecars'}: ${acknowledged} acknowledged, the lease of ${fenced} ran out`;
