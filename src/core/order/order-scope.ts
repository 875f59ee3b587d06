import type { Order } from './order.ts';

/** What an order is about, as records and answers name it. */
export type OrderScope =
  | { readonly kind: string; readonly what: string }
  | { readonly agents: readonly string[]; readonly servers: readonly string[] | null };

/** What an order is about. */
export const orderScope = (order: Order): OrderScope =>
  order.of === 'stop' ? { kind: order.kind, what: order.what } : { agents: order.agents, servers: order.servers };

/** The same in words: `all agents at payments`, or `agent spiffe://…`. */
export function scopeText(scope: OrderScope): string {
  if ('kind' in scope) return scope.kind === 'all' ? 'everything' : `${scope.kind} ${scope.what}`;
  const { agents, servers } = scope;
  const who = agents.includes('*') ? 'all agents' : agents.join(', ');
  return `${who} at ${servers === null ? 'every server' : servers.join(', ')}`;
}
