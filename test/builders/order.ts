/** Orders as operators give them. */
import type { ObserveOrder, StopOrder } from '../../src/core/order/order.ts';

/** A stop of one agent until it is lifted. */
export const stopOrder = (order: Partial<StopOrder> = {}): StopOrder => ({
  of: 'stop',
  id: '00000000000000aa',
  madeAtMs: 1_000,
  by: 'spiffe://acme.test/ns/people/sa/operator',
  because: 'INC-42',
  kind: 'agent',
  what: 'spiffe://acme.test/ns/agents/sa/planner',
  untilMs: null,
  ...order,
});

/** An order to observe a namespace of agents at every server, for a second. */
export const observeOrder = (order: Partial<ObserveOrder> = {}): ObserveOrder => ({
  of: 'observe',
  id: '00000000000000bb',
  madeAtMs: 1_000,
  by: 'spiffe://acme.test/ns/people/sa/operator',
  because: 'INC-42',
  agents: ['spiffe://acme.test/ns/agents/*'],
  servers: null,
  untilMs: 2_000,
  ...order,
});
