/** How orders come into force and are lifted, in a transaction of any implementation. */
import type { EncodedRecord } from '../../ledger/encoded-record.ts';
import { isInForce, isOfPattern, orderLimits, storedOrder } from '../../order/order.ts';
import type { Order } from '../../order/order.ts';
import { isProblem } from '../../runtime/problem.ts';
import { storeFailure } from '../../runtime/store-failure.ts';
import type { StoreFailure } from '../../runtime/store-failure.ts';
import type { StateRows } from './state-rows.ts';

/** The key under which it is remembered that an order was put, so that a retry does not bring it back once it is lifted. */
export const nameOfPut = (id: string): string => `order ${id}`;

/** `Store.putOrder`. */
export function putOrder(rows: StateRows, order: Order, records: readonly EncodedRecord[]): null | StoreFailure {
  // An order that could not be read again would deny everything.
  const read = storedOrder(JSON.stringify(order));
  if (isProblem(read)) return storeFailure('refused', `the order ${read.problem}`);
  if (rows.isSettled(nameOfPut(order.id))) return null;
  const floorMs = rows.floorMs();
  // Otherwise the order would seem to be in force while its row keeps the body that another login wrote.
  if (rows.orders().some(({ id }) => id === order.id) && !rows.isGivenOrder(order.id))
    return storeFailure('conflict', 'no authority wrote the order that has this id');
  const inForce = rows.orders().filter((other) => isInForce(other, { wallMs: floorMs, floorMs }));
  if (fullProblem([...inForce, order]) !== null) {
    // Only now, since each may cost the check of a seal.
    const full = fullProblem([...inForce.filter(({ id }) => rows.isGivenOrder(id)), order]);
    if (full !== null) return full;
  }
  // As it is read, so that it is always written with the same text.
  rows.addOrder(read);
  rows.setSettled(nameOfPut(order.id));
  rows.addRecords(records);
  return null;
}

/** `Store.liftOrder`. */
export function liftOrder(rows: StateRows, id: string, records: readonly EncodedRecord[]): Order | undefined {
  const order = rows.orders().find((other) => other.id === id);
  if (order === undefined) return undefined;
  rows.removeOrder(id);
  rows.addRecords(records);
  return order;
}

/** Why not all of these can be in force; `null` if they can. */
function fullProblem(orders: readonly Order[]): StoreFailure | null {
  const { maxInForce, maxObserving, maxPatterns } = orderLimits;
  if (orders.length > maxInForce) return full(`${maxInForce} orders`);
  if (orders.filter(isOfPattern).length > maxPatterns) return full(`${maxPatterns} stops of patterns`);
  return orders.filter(({ of }) => of === 'observe').length > maxObserving
    ? full(`${maxObserving} orders to observe`)
    : null;
}

const full = (what: string): StoreFailure => storeFailure('full', `${what} are in force: lift some of them first`);
