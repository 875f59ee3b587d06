import { orderOver } from '../../../core/ledger/order-record.ts';
import { isInForce } from '../../../core/order/order.ts';
import type { Clocks } from '../../../core/runtime/ports.ts';
import { repeatedly } from '../../../core/runtime/repeatedly.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { After } from '../../../core/runtime/timers.ts';
import type { Authority } from '../../../core/state/authority.ts';
import { orderRecords } from './changed-order.ts';

/** What the end of orders needs. */
export interface EndedOrdersServices {
  readonly authority: Pick<Authority, 'ordersInForce' | 'liftOrder'>;
  readonly clocks: () => Pick<Clocks, 'wallMs' | 'floorMs'>;
  readonly after: After;
  /** Called with an unexpected fault; the watch goes on. It must not throw. */
  readonly onFault: (fault: string) => void;
}

/** How late the record of an end may be. Nobody waits for it: each sidecar ends an order by its own clocks. */
const EVERY_MS = 5_000;

/**
 * Removes expired orders every 5 s, each in one transaction with the record of its end: once among all authorities, and also
 * after a restart. After a failure the rest is tried again 5 s later. The returned function ends it.
 */
export const watchEndedOrders = ({ after, onFault, ...services }: EndedOrdersServices): (() => Promise<void>) =>
  repeatedly(() => removeEnded(services), { everyMs: EVERY_MS, after, onFault });

async function removeEnded({ authority, clocks }: Pick<EndedOrdersServices, 'authority' | 'clocks'>): Promise<void> {
  const orders = await authority.ordersInForce();
  if (isStoreFailure(orders)) return;
  const now = clocks();
  for (const order of orders.list) {
    if (isInForce(order, now)) continue;
    const removed = await authority.liftOrder(order.id, orderRecords(orderOver(order, now.floorMs)));
    if (isStoreFailure(removed)) return;
  }
}
