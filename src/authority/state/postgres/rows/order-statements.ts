import type { Statement } from '../flight.ts';
import { liftDigestOf } from './row-seal.ts';
import type { RowSeal } from './row-seal.ts';
import type { OrderChange } from './order-rows.ts';

/**
 * Locks the orders until the commit, and counts a change of them. INVARIANT: before the families of tasks are locked, so that two
 * transactions never wait for each other.
 */
export const LOCK_ORDERS: Statement = { text: 'UPDATE remit.orders_head SET version = version + 1 WHERE part = 0' };

/** Of rows of `orders`: all but those that the database knows to be lifted (`signals-schema.ts`). */
export const MAY_HOLD = `(lifted IS NULL OR lift_digest IS DISTINCT FROM encode(sha256(convert_to(lifted, 'UTF8')), 'hex'))`;

/** All orders that may hold. */
export const SELECT_ORDERS: Statement = {
  text: `SELECT id, body, seal, lifted FROM remit.orders WHERE ${MAY_HOLD} ORDER BY id`,
};

/** What lifts a stop if the authorities have no key. */
const WITHOUT_KEY = '';

/** The statements that write changes of orders. */
export function orderStatements(changes: readonly OrderChange[], seal: RowSeal | null): readonly Statement[] {
  const removed = changes.filter(({ order }) => order === null).map(({ id }) => id);
  const liftOf = (id: string): string => seal?.ofLifted(id) ?? WITHOUT_KEY;
  const added = changes.flatMap(({ order }) => order ?? []);
  const rows = added.map((order) => ({
    id: order.id,
    of: order.of,
    until_ms: order.untilMs,
    body: JSON.stringify(order),
    seal: seal?.ofOrder(order) ?? null,
    lifted: null,
    lift_digest: order.of === 'stop' ? liftDigestOf(liftOf(order.id)) : null,
  }));
  return [
    ...(removed.length === 0
      ? []
      : [
          { text: LIFT, values: [removed, removed.map(liftOf), liftDigestOf(WITHOUT_KEY)] },
          { text: DELETE, values: [removed] },
        ]),
    ...(rows.length === 0 ? [] : [{ text: ADD, values: [JSON.stringify(rows)] }]),
  ];
}

/** The database wants the seal of a lifted stop before it deletes it (`signals-schema.ts`). A stop may be from before there was a key. */
const LIFT = `UPDATE remit.orders o SET lifted = CASE WHEN o.lift_digest = $3::text THEN '${WITHOUT_KEY}' ELSE l.seal END
  FROM unnest($1::text[], $2::text[]) AS l (id, seal) WHERE o.of = 'stop' AND o.id = l.id`;

/** Stops that do not have the digest of this seal stay: an authority with a key counts a stop as lifted by its seal alone. */
const DELETE = `DELETE FROM remit.orders WHERE id = ANY($1::text[]) AND (of = 'observe' OR NOT ${MAY_HOLD})`;

/** A stop that stayed for that reason is in force again as it was made. */
const ADD = `INSERT INTO remit.orders SELECT * FROM json_populate_recordset(NULL::remit.orders, $1::json)
  ON CONFLICT (id) DO UPDATE SET lifted = NULL`;
