import { orderReceipt, receiptOf } from '../../../core/fleet/receipt.ts';
import type { TimedReceipt } from '../../../core/fleet/receipt.ts';
import { encodedRecord } from '../../../core/ledger/encoded-record.ts';
import type { EncodedRecord } from '../../../core/ledger/encoded-record.ts';
import type { EventRecord } from '../../../core/ledger/record.ts';
import type { Order } from '../../../core/order/order.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { ORDERS_ROOT } from '../../../core/state/feed.ts';
import type { IssuerRequest, IssuerServices } from '../services.ts';

/** An order that was put in force or lifted. */
export interface ChangedOrder {
  readonly order: Order;
  readonly change: 'order-made' | 'order-lifted';
}

/** The record of a change of an order, for its write. */
export function orderRecords(record: EventRecord): readonly EncodedRecord[] {
  const encoded = encodedRecord(record);
  if (isProblem(encoded)) throw new Error(`an order has no record: ${encoded.problem}`);
  return [encoded];
}

/**
 * Waits until no sidecar can decide without a committed change of an order, and records that, unless the request has `?wait=committed`.
 * @returns the member of the reply with the receipt; empty if it was not waited for, or if no sidecars are served
 */
export async function enforcementOfOrder(
  { order, change }: ChangedOrder,
  { wait }: Pick<IssuerRequest, 'wait'>,
  { enforcement, authority }: Pick<IssuerServices, 'enforcement' | 'authority'>,
): Promise<{ readonly enforcement?: TimedReceipt }> {
  if (enforcement === undefined || wait === 'committed') return {};
  const receipt = await receiptOf(enforcement, [ORDERS_ROOT]);
  // The receipt is valid even if its record cannot be written. A failed write is a value, not a rejection.
  await authority.appendRecords(orderRecords(orderReceipt(order, receipt, { change, at: authority.nowMs() })));
  return { enforcement: receipt };
}
