import { isStoreFailure } from '../runtime/store-failure.ts';
import type { StoreFailure } from '../runtime/store-failure.ts';
import { Orders } from './orders.ts';

/** The orders by a reading that may fail: then those of the last reading, as stale. */
export function knownOrders(read: () => Orders | StoreFailure): () => Orders {
  let known = Orders.none;
  return () => {
    const found = read();
    known = isStoreFailure(found) ? known.staleBecause(found) : found;
    return known;
  };
}
