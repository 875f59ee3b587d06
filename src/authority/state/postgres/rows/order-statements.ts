import type { Statement } from '../flight.ts';
import type { RowSeal } from './row-seal.ts';
import type { OrderChange } from './order-rows.ts';

/**
 * Locks the orders until the commit, and counts a change of them. INVARIANT: before the families of tasks are locked, so that two
 * transactions never wait for each other.
 */
export const LOCK_ORDERS: Statement = { text: 'UPDATE remit.orders_head SET version = version + 1 WHERE part = 0' };

/** All orders. */
export const SELECT_ORDERS: Statement = { text: 'SELECT id, body, seal FROM remit.orders ORDER BY id' };

/** The statements that write changes of orders. */
export function orderStatements(changes: readonly OrderChange[], seal: RowSeal | null): readonly Statement[] {
  const removed = changes.filter(({ order }) => order === null).map(({ id }) => id);
  const added = changes.flatMap(({ order }) => order ?? []);
  const rows = added.map((order) => ({
    id: order.id,
    of: order.of,
    until_ms: order.untilMs,
    body: JSON.stringify(order),
    seal: seal?.ofOrder(order) ?? null,
  }));
  return [
    ...(removed.length === 0
      ? []
      : [{ text: 'DELETE FROM remit.orders WHERE id = ANY($1::text[])', values: [removed] }]),
    ...(rows.length === 0 ? [] : [{ text: ADD, values: [JSON.stringify(rows)] }]),
  ];
}

const ADD = 'INSERT INTO remit.orders SELECT * FROM json_populate_recordset(NULL::remit.orders, $1::json)';
