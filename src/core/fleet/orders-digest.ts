import { createHash } from 'node:crypto';
import type { Order } from '../order/order.ts';
import type { Orders } from '../order/orders.ts';

/** Memoised by list, which never changes. */
const known = new WeakMap<Orders, string>();

/**
 * base64url SHA-256 of a list of orders, independent of their sequence; empty if there are none. Two parties with the same digest
 * have the same orders. A party of another version may give the same orders another digest.
 */
export function ordersDigest(orders: Orders): string {
  const { list } = orders;
  if (list.length === 0) return '';
  const before = known.get(orders);
  if (before !== undefined) return before;
  const texts = list.map(textOf).toSorted();
  const digest = createHash('sha256').update(texts.join('\n')).digest('base64url');
  known.set(orders, digest);
  return digest;
}

/** The same text for the same order, independent of the sequence of its members. */
const textOf = (order: Order): string =>
  JSON.stringify(Object.entries(order).toSorted(([one], [other]) => (one < other ? -1 : 1)));
