/** The table of orders. */
import { storedOrder } from '../../../../core/order/order.ts';
import type { Order } from '../../../../core/order/order.ts';
import { isProblem } from '../../../../core/runtime/problem.ts';
import { ORDERS_ROOT } from '../../../../core/state/feed.ts';
import type { Connection } from '../connection.ts';

/** All orders. Throws if a row is not an order: an operator gave an order, and it is not known which. */
export const ordersIn = (connection: Connection): readonly Order[] =>
  connection
    .statement('SELECT id, body FROM orders ORDER BY id')
    .all()
    .map(({ id, body }) => {
      const order = storedOrder(String(body));
      if (isProblem(order)) throw new UnreadableOrder(`order \`${String(id)}\` ${order.problem}`);
      return order;
    });

/** A row that is not an order. */
export class UnreadableOrder extends Error {}

/** Within a transaction: `StateRows.addOrder`. */
export function insertOrder(connection: Connection, order: Order): void {
  const insert = connection.statement('INSERT INTO orders (id, of, until_ms, body) VALUES (?, ?, ?, ?)');
  insert.run(order.id, order.of, order.untilMs, JSON.stringify(order));
  connection.changed(ORDERS_ROOT, 'orders');
}

/** Within a transaction: `StateRows.removeOrder`. */
export function deleteOrder(connection: Connection, id: string): void {
  connection.statement('DELETE FROM orders WHERE id = ?').run(id);
  connection.changed(ORDERS_ROOT, 'orders');
}

/** Within a transaction: `RestoredOrders.stops` of a file that is restored. Orders to observe are deleted. */
export function keepStops(connection: Connection): number {
  connection.statement("DELETE FROM orders WHERE of = 'observe'").run();
  connection.changed(ORDERS_ROOT, 'orders');
  const inForce = connection.statement('SELECT count(*) AS count FROM orders WHERE until_ms IS NULL OR until_ms > ?');
  return Number(inForce.get(connection.floorMs())?.['count']);
}

const OVER = 'FROM orders INDEXED BY orders_until WHERE until_ms IS NOT NULL AND until_ms <= ?';

/** Whether there are orders that are over. @param nowMs the earlier of both clocks */
export const hasOldOrders = (connection: Connection, nowMs: number): boolean =>
  connection.statement(`SELECT 1 ${OVER} LIMIT 1`).get(nowMs) !== undefined;

/**
 * Within a transaction: deletes at most `limit` orders that are over; no change is announced, since they have no effect. Gives
 * how many.
 */
export const forgetOrders = (connection: Connection, nowMs: number, limit: number): number =>
  Number(
    connection
      .statement(`DELETE FROM orders WHERE id IN (SELECT id ${OVER} ORDER BY until_ms LIMIT ?)`)
      .run(nowMs, limit).changes,
  );
