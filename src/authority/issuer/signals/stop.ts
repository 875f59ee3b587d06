import { createHash } from 'node:crypto';
import { orderReceipt, receiptOf } from '../../../core/fleet/receipt.ts';
import { orderMade } from '../../../core/ledger/order-record.ts';
import { newStop } from '../../../core/order/new-stop.ts';
import { orderLimits } from '../../../core/order/order.ts';
import type { StopOrder } from '../../../core/order/order.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { isStoreFailure, storeFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import { ORDERS_ROOT } from '../../../core/state/feed.ts';
import { orderRecords } from '../orders/changed-order.ts';
import type { IssuerServices } from '../services.ts';
import type { Applied } from './apply.ts';
import type { StopTarget } from './stop-subject.ts';

/** How a signal stops. */
export interface SignalStop {
  /** The signal, unique; a repeated delivery makes no further stop. */
  readonly key: string;
  readonly minutes: number | null;
  readonly applied: Pick<Applied, 'cause' | 'by'>;
}

/** Puts the stops of a signal in force, with their records. Returns them. */
export async function stopBySignal(
  targets: readonly StopTarget[],
  stop: SignalStop,
  services: Pick<IssuerServices, 'authority'> & { readonly ports: Pick<IssuerServices['ports'], 'randomBytes'> },
): Promise<readonly StopOrder[] | StoreFailure> {
  const orders: StopOrder[] = [];
  for (const target of targets) {
    const derived = derivedBytes(stop.key, target);
    let put = await putStop(target, stop, { ...services, randomBytes: derived });
    // Somebody other than an authority has written an order with this id into the database: stop under a random id.
    if (isStoreFailure(put) && put.code === 'conflict')
      put = await putStop(target, stop, { ...services, randomBytes: services.ports.randomBytes });
    if (isStoreFailure(put)) return put;
    orders.push(put);
  }
  return orders;
}

/** Bytes of an id that are derived, so that the same signal makes the same stop. */
function derivedBytes(key: string, { kind, what }: StopTarget): (length: number) => Uint8Array {
  const digest = createHash('sha256')
    .update(JSON.stringify([key, kind, what]), 'utf8')
    .digest();
  return (length) => digest.subarray(0, length);
}

async function putStop(
  { kind, what }: StopTarget,
  { minutes, applied }: SignalStop,
  {
    authority,
    randomBytes,
  }: Pick<IssuerServices, 'authority'> & { readonly randomBytes: (length: number) => Uint8Array },
): Promise<StopOrder | StoreFailure> {
  const order = newStop(
    { kind, what, minutes, because: applied.cause.note.slice(0, orderLimits.maxBecause) },
    { by: applied.by, nowMs: authority.nowMs(), floorMs: authority.floorMs(), randomBytes },
  );
  if (isProblem(order)) return storeFailure('refused', order.problem);
  return (await authority.putOrder(order, orderRecords(orderMade(order)))) ?? order;
}

/** Waits until no sidecar can decide without these stops, and records it. Returns whether that is so. */
export async function stopsEnforced(
  orders: readonly StopOrder[],
  { authority, enforcement }: IssuerServices,
): Promise<boolean> {
  if (orders.length === 0 || enforcement === undefined) return true;
  const receipt = await receiptOf(enforcement, [ORDERS_ROOT]);
  const of = { change: 'order-made', at: authority.nowMs() } as const;
  // The receipt is valid even if its records cannot be written.
  await authority.appendRecords(orders.flatMap((order) => orderRecords(orderReceipt(order, receipt, of))));
  return receipt.enforced;
}
