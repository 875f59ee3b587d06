/** The records of an order: given, lifted, expired. */
import type { Order } from '../order/order.ts';
import { orderScope } from '../order/order-scope.ts';
import { causeOf } from '../task/cause.ts';
import type { EventRecord } from './record.ts';

/** Who changed an order, and when. */
interface Changed {
  /** The SPIFFE ID of the operator, or a name for what else changed it. */
  readonly by: string;
  readonly because: string;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
}

const made = { stop: 'operator.stopped', observe: 'operator.observed' } as const;

/** The record of a new order. */
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

/** The record of an order that was ended before its time. */
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

/** The record of an order that expired. */
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

/** The details in the records of an order: its id, its kind and scope, and when it expires. */
export const orderDetails = (order: Order): EventRecord['details'] => ({
  order: order.id,
  of: order.of,
  until: order.untilMs,
  ...orderScope(order),
});
