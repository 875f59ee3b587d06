import type { SpiffeId } from '../../../core/identity/spiffe-id.ts';
import type { Order } from '../../../core/order/order.ts';
import { isOAuthError, type OAuthError } from '../oauth-error.ts';
import { errorReply, jsonReply, type Reply } from '../reply.ts';
import type { IssuerRequest, IssuerServices } from '../services.ts';
import { type SpanAttributes, UNFINISHED } from '../tracer.ts';
import { enforcementOfOrder } from './changed-order.ts';
import type { ChangedOrder } from './changed-order.ts';

/** An order that was put in force or lifted, and the status of the reply. */
export interface AnsweredOrder<Of extends Order> extends ChangedOrder {
  readonly order: Of;
  readonly status: number;
}

/** A change of an order, and how it is shown. */
interface OrderChange<Of extends Order> {
  /** Of the span. */
  readonly name: 'stop.make' | 'stop.lift' | 'emergency.start' | 'emergency.end';
  /** Who asks, if it may. */
  readonly operator: SpiffeId | OAuthError;
  readonly change: (by: SpiffeId) => Promise<AnsweredOrder<Of> | OAuthError>;
  readonly json: (order: Of) => object;
  readonly attributes: (order: Of) => SpanAttributes;
}

/** Changes an order for an operator, and replies with it and its receipt. */
export async function answerChange<Of extends Order>(
  request: IssuerRequest,
  services: IssuerServices,
  { name, operator, change, json, attributes: attributesOf }: OrderChange<Of>,
): Promise<Reply> {
  const span = services.tracer.start(name, {}, request.traceparent);
  let attributes: SpanAttributes = UNFINISHED;
  try {
    const done = isOAuthError(operator) ? operator : await change(operator);
    attributes = isOAuthError(done)
      ? { 'error.type': done.error, 'http.response.status_code': done.status }
      : { ...attributesOf(done.order), 'http.response.status_code': done.status };
    if (isOAuthError(done)) return errorReply(done);
    const enforced = await enforcementOfOrder(done, request, services);
    return jsonReply(done.status, { ...json(done.order), ...enforced });
  } finally {
    span.end(attributes);
  }
}
