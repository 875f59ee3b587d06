/** The records of orders of operators: given, lifted, over. */
import type { Order } from '../order/order.ts';
import { orderScope } from '../order/order-scope.ts';
import { causeOf } from '../task/cause.ts';
import type { EventRecord } from './record.ts';

/** Who changed an order, and when. */
interface Changed {
  /** The SPIFFE ID of the operator, or who else it was. */
  readonly by: string;
  readonly because: string;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
}

const made = { stop: 'operator.stopped', observe: 'operator.observed' } as const;

/** The record of an order that an operator gave. */
export const orderMade = (order: Order): EventRecord => ({
  kind: 'event',
  at: order.madeAtMs,
  task: null,
  event: 'order-made',
  cause: made[order.of],
  note: order.because,
  by: order.by,
  details: orderDetails(order),
});

/** The record of an order that an operator ended before its time. */
export const orderLifted = (order: Order, { by, because, at }: Changed): EventRecord => ({
  kind: 'event',
  at,
  task: null,
  event: 'order-lifted',
  cause: 'operator.lifted',
  note: because,
  by,
  details: orderDetails(order),
});

/** The record of an order whose time is over. */
export const orderOver = (order: Order, at: number): EventRecord => ({
  kind: 'event',
  at,
  task: null,
  event: 'order-over',
  cause: 'deadline',
  note: causeOf('deadline').note,
  by: 'remit',
  details: orderDetails(order),
});

/** What of an order its records name: its id, what it is about, and until when it holds. */
export const orderDetails = (order: Order): EventRecord['details'] => ({
  order: order.id,
  of: order.of,
  until: order.untilMs,
  ...orderScope(order),
});
