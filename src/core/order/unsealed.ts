/** Stops in a database whose row no authority wrote. */
import type { Order, StopOrder } from './order.ts';

/**
 * The `by` of such a stop, instead of the name in its row, which anybody who can write the database may have chosen. The stop
 * holds all the same until an operator lifts it: a stop grants nothing, and it may be the stop of an operator whose command had
 * no key.
 */
export const UNSEALED = 'unsealed-row';

/** The unsealed stops among these orders. */
export const unsealedIn = (orders: readonly Order[]): readonly StopOrder[] =>
  orders.flatMap((order) => (order.of === 'stop' && order.by === UNSEALED ? [order] : []));

/** Most ids that are named. */
const MAX_NAMED = 3;

/** A warning about them for operators; `null` if there are none. */
export function unsealedProblem(stops: readonly StopOrder[]): string | null {
  if (stops.length === 0) return null;
  const named = stops.slice(0, MAX_NAMED).map(({ id }) => `\`${id}\``);
  const more = stops.length > MAX_NAMED ? ` and ${stops.length - MAX_NAMED} more` : '';
  return `stops without the seal of an authority are in force (${named.join(', ')}${more}): each denies until an operator lifts it. ${CAUSES}`;
}

const CAUSES =
  'Somebody else writes the database, or an authority or a command has no or another `authority.stateKey`: see deploy/guide/operate/stop.md';
