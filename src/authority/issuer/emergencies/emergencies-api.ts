/** The endpoints of emergencies: calls that are only observed for a while, by the order of an operator. */
import { isDeny } from '../../../core/decision/decision.ts';
import type { SpiffeId } from '../../../core/identity/spiffe-id.ts';
import { orderLifted, orderMade } from '../../../core/ledger/order-record.ts';
import { emergencyJson } from '../../../core/order/emergency-json.ts';
import { newOrderId, orderFrom } from '../../../core/order/order.ts';
import type { ObserveOrder } from '../../../core/order/order.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import { clientFrom } from '../client/client.ts';
import { isOAuthError, type OAuthError, oauthError } from '../oauth-error.ts';
import { answerChange } from '../orders/answer-change.ts';
import type { AnsweredOrder } from '../orders/answer-change.ts';
import { orderRecords } from '../orders/changed-order.ts';
import { errorReply, jsonReply, type Reply } from '../reply.ts';
import type { IssuerRequest, IssuerServices } from '../services.ts';
import { askedEmergencyFrom, endReasonFrom } from './asked-emergency.ts';

const MINUTE_MS = 60_000;

/**
 * `POST /emergencies`: calls of agents to servers are only observed for at most an hour. For `enforcement.emergency.operators` alone. The reply
 * comes once it is committed, and every sidecar has it.
 */
export const answerEmergency = (request: IssuerRequest, services: IssuerServices): Promise<Reply> =>
  changed('emergency.start', request, services, async (by) => {
    const { authority, lastCatalog, ports } = services;
    // A set that expired or is stale still observes, and is a likely cause of an emergency. Without any set nothing is observed.
    const catalog = lastCatalog();
    if (catalog === null)
      return oauthError('temporarily_unavailable', 'no policy set was loaded yet: nothing can be observed');
    const asked = askedEmergencyFrom(request, catalog);
    if (isOAuthError(asked)) return asked;
    const { agents, servers, minutes, because } = asked;
    // By the floor alone: a wall clock that is ahead would make it longer.
    const madeAtMs = authority.floorMs();
    const untilMs = madeAtMs + minutes * MINUTE_MS;
    const order = orderFrom({
      of: 'observe',
      id: newOrderId(ports.randomBytes),
      madeAtMs,
      untilMs,
      by,
      because,
      agents,
      servers,
    });
    if (isProblem(order)) return oauthError('invalid_request', `the emergency: ${order.problem}`);
    if (order.of !== 'observe') return oauthError('server_error', 'the emergency could not be made');
    const failure = await authority.putOrder(order, orderRecords(orderMade(order)));
    return isStoreFailure(failure) ? unavailable(failure) : { order, change: 'order-made', status: 201 };
  });

/** `POST /emergencies/{id}/end`: ends an emergency before its time, acknowledged as it was started. For the same operators. */
export const answerEmergencyEnd = (request: IssuerRequest, services: IssuerServices): Promise<Reply> =>
  changed('emergency.end', request, services, async (by) => {
    const { authority } = services;
    const because = endReasonFrom(request);
    if (isOAuthError(because)) return because;
    const running = await emergenciesNow(services);
    if (isOAuthError(running)) return running;
    const order = running.find(({ id }) => id === request.orderId);
    if (order === undefined) return noEmergency();
    const lifted = orderLifted(order, { by, because, at: authority.nowMs() });
    const done = await authority.liftOrder(order.id, orderRecords(lifted));
    if (isStoreFailure(done)) return unavailable(done);
    return done === undefined ? noEmergency() : { order, change: 'order-lifted', status: 200 };
  });

/** `GET /emergencies`: those in force. For the same operators. */
export async function answerEmergencies(request: IssuerRequest, services: IssuerServices): Promise<Reply> {
  const operator = operatorOf(request, services);
  if (isOAuthError(operator)) return errorReply(operator);
  const running = await emergenciesNow(services);
  return isOAuthError(running) ? errorReply(running) : jsonReply(200, { emergencies: running.map(emergencyJson) });
}

/** Changes an emergency for an operator, and replies with it and its receipt. */
const changed = (
  name: 'emergency.start' | 'emergency.end',
  request: IssuerRequest,
  services: IssuerServices,
  change: (by: SpiffeId) => Promise<AnsweredOrder<ObserveOrder> | OAuthError>,
): Promise<Reply> =>
  answerChange(request, services, {
    name,
    operator: operatorOf(request, services),
    change,
    json: emergencyJson,
    attributes: ({ id }) => ({ 'remit.emergency.id': id }),
  });

/** The operator, if it may; an emergency is impossible unless it is configured. */
function operatorOf(request: IssuerRequest, { ports, settings }: IssuerServices): SpiffeId | OAuthError {
  const client = clientFrom(request.certificate, settings.trustDomains, ports.nowMs());
  if (isDeny(client)) return oauthError('invalid_client', client.detail, client);
  const { emergencyOperators } = settings;
  if (emergencyOperators.size === 0)
    return oauthError(
      'access_denied',
      'emergencies are not configured: the key enforcement.emergency.operators of the authority names who may start an emergency',
    );
  return emergencyOperators.has(client.id)
    ? client.id
    : oauthError('access_denied', 'emergencies are for the workloads of enforcement.emergency.operators alone');
}

async function emergenciesNow({ authority }: IssuerServices): Promise<readonly ObserveOrder[] | OAuthError> {
  const orders = await authority.ordersInForce();
  if (isStoreFailure(orders)) return unavailable(orders);
  return orders.observing({ wallMs: authority.nowMs(), floorMs: authority.floorMs() });
}

const noEmergency = (): OAuthError => oauthError('not_found', 'there is no emergency with this id in force');

const unavailable = (failure: StoreFailure): OAuthError =>
  failure.code === 'refused' || failure.code === 'full'
    ? oauthError('invalid_request', failure.detail)
    : oauthError('temporarily_unavailable', 'the state of the emergencies is not available');
