import type { Statement } from '../flight.ts';
import type { RowSeal } from './row-seal.ts';
import type { OrderChange } from './order-rows.ts';

/**
 * Locks the orders until the commit, and counts a change of them. INVARIANT: before the families of tasks are locked, so that two
 * transactions never wait for each other.
 */
export const LOCK_ORDERS: Statement = { text: 'UPDATE remit.orders_head SET version = version + 1 WHERE part = 0' };

/** All orders. */
export const SELECT_ORDERS: Statement = { text: 'SELECT id, body, seal, lifted FROM remit.orders ORDER BY id' };

/** The statements that write changes of orders. */
export function orderStatements(changes: readonly OrderChange[], seal: RowSeal | null): readonly Statement[] {
  const removed = changes.filter(({ order }) => order === null).map(({ id }) => id);
  const lifted = removed.map((id) => seal?.ofLifted(id) ?? '');
  const added = changes.flatMap(({ order }) => order ?? []);
  const rows = added.map((order) => ({
    id: order.id,
    of: order.of,
    until_ms: order.untilMs,
    body: JSON.stringify(order),
    seal: seal?.ofOrder(order) ?? null,
    lifted: null,
  }));
  return [
    ...(removed.length === 0
      ? []
      : [
          { text: LIFT, values: [removed, lifted] },
          { text: "DELETE FROM remit.orders WHERE of = 'observe' AND id = ANY($1::text[])", values: [removed] },
        ]),
    ...(rows.length === 0 ? [] : [{ text: ADD, values: [JSON.stringify(rows)] }]),
  ];
}

/** The database refuses that a stop is deleted (`signals-schema.ts`), and whoever reads it wants the seal. */
const LIFT = `UPDATE remit.orders o SET lifted = l.seal FROM unnest($1::text[], $2::text[]) AS l (id, seal)
  WHERE o.of = 'stop' AND o.id = l.id`;

/** A stop that was lifted is in force again as it was made. */
const ADD = `INSERT INTO remit.orders SELECT * FROM json_populate_recordset(NULL::remit.orders, $1::json)
  ON CONFLICT (id) DO UPDATE SET lifted = NULL`;
