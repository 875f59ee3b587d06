import { isStoreFailure } from '../runtime/store-failure.ts';
import type { StoreFailure } from '../runtime/store-failure.ts';
import { Orders } from './orders.ts';

/**
 * Returns a function that reads the orders. If a reading fails, it gives the orders of the last successful reading, marked as
 * stale.
 */
export function knownOrders(read: () => Orders | StoreFailure): () => Orders {
  let known = Orders.none;
  return () => {
    const found = read();
    known = isStoreFailure(found) ? known.staleBecause(found) : found;
    return known;
  };
}
