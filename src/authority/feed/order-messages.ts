/** The messages by which sidecars get the orders of operators. */
import type { Down, OrdersMessage } from '../../core/fleet/messages.ts';
import { ordersDigest } from '../../core/fleet/orders-digest.ts';
import type { Order } from '../../core/order/order.ts';
import type { Orders } from '../../core/order/orders.ts';

/** Most characters of the orders of a message, of which a sidecar takes 4 MiB: each character has at most 3 bytes. */
const MAX_CHARS = 512 * 1_024;
/** Most ids of a message. */
const MAX_IDS = 16_384;

/** What a sidecar that connects is sent: the whole list, or that it is unchanged. @param digest of the orders that it has; empty if it has none */
export const firstOrders = (orders: Orders, digest: string): readonly Down[] =>
  digest !== '' && digest === ordersDigest(orders) ? [unchangedOrders(orders, digest)] : wholeOrders(orders);

const unchangedOrders = ({ list }: Orders, unchanged: string): Down => ({
  of: 'orders',
  orders: { whole: false, given: [], lifted: [], continues: false, in_force: list.length, unchanged },
});

/** The whole list. */
export const wholeOrders = ({ list }: Orders): readonly Down[] =>
  messagesOf(list, [], { whole: true, inForce: list.length });

/** What has changed from one list to the next. Empty if nothing has. */
export function changedOrders(before: Orders, now: Orders): readonly Down[] {
  const [old, next] = [idsOf(before), idsOf(now)];
  const given = now.list.filter(({ id }) => !old.has(id));
  const lifted = before.list.map(({ id }) => id).filter((id) => !next.has(id));
  if (given.length === 0 && lifted.length === 0) return [];
  return messagesOf(given, lifted, { whole: false, inForce: now.list.length });
}

const idsOf = ({ list }: Orders): ReadonlySet<string> => new Set(list.map(({ id }) => id));

function messagesOf(
  given: readonly Order[],
  lifted: readonly string[],
  { whole, inForce }: { readonly whole: boolean; readonly inForce: number },
): readonly Down[] {
  const parts: Pick<OrdersMessage, 'given' | 'lifted'>[] = [];
  for (let at = 0; at < lifted.length; at += MAX_IDS) parts.push({ given: [], lifted: lifted.slice(at, at + MAX_IDS) });
  let [texts, chars]: [string[], number] = [[], 0];
  for (const order of given) {
    const text = JSON.stringify(order);
    if (chars + text.length > MAX_CHARS) {
      parts.push({ given: texts, lifted: [] });
      [texts, chars] = [[], 0];
    }
    texts.push(text);
    chars += text.length;
  }
  if (texts.length > 0 || parts.length === 0) parts.push({ given: texts, lifted: [] });
  return parts.map((part, at) => {
    const continues = at < parts.length - 1;
    return {
      of: 'orders',
      orders: { ...part, whole: whole && at === 0, continues, in_force: continues ? 0 : inForce },
    };
  });
}
