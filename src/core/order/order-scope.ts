import type { Order } from './order.ts';

/** What an order is about, as records and answers name it. */
export type OrderScope =
  | { readonly kind: string; readonly what: string }
  | { readonly agents: readonly string[]; readonly servers: readonly string[] | null };

/** What an order is about. */
export const orderScope = (order: Order): OrderScope =>
  order.of === 'stop' ? { kind: order.kind, what: order.what } : { agents: order.agents, servers: order.servers };
