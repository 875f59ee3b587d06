import { isDeny } from '../../../core/decision/decision.ts';
import { stopTargetProblem } from '../../../core/decide/stop-target.ts';
import { coversSpiffeId } from '../../../core/identity/spiffe-id-pattern.ts';
import type { SpiffeId } from '../../../core/identity/spiffe-id.ts';
import { orderLifted, orderMade } from '../../../core/ledger/order-record.ts';
import { newStop } from '../../../core/order/new-stop.ts';
import { stopJson } from '../../../core/order/stop-json.ts';
import { stoppedUser } from '../../../core/order/order.ts';
import type { StopOrder } from '../../../core/order/order.ts';
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
import { askedStopFrom } from './asked-stop.ts';

/**
 * `POST /stops`: stops an agent, a user, a server, an action or everything, until it is lifted or its minutes are over. For operators. The reply
 * comes once it is committed, and no sidecar can decide without it.
 */
export const answerStop = (request: IssuerRequest, services: IssuerServices): Promise<Reply> =>
  changed('stop.make', request, services, async (by) => {
    const asked = askedStopFrom(request);
    if (isOAuthError(asked)) return asked;
    const { authority, policies, ports } = services;
    const unknown = isDeny(policies) ? null : stopTargetProblem(asked, policies.catalog);
    if (unknown !== null) return oauthError('invalid_request', unknown);
    const maker = { by, nowMs: authority.nowMs(), floorMs: authority.floorMs(), randomBytes: ports.randomBytes };
    const order = newStop(asked, maker);
    if (isProblem(order)) return oauthError('invalid_request', `the stop: ${order.problem}`);
    const failure = await authority.putOrder(order, orderRecords(orderMade(order)));
    return isStoreFailure(failure) ? unavailable(failure) : { order, change: 'order-made', status: 201 };
  });

/**
 * `DELETE /stops/{id}`: lifts a stop, acknowledged as it was made. For operators, and never for a workload that it covers: nobody decides for
 * himself.
 */
export const answerLift = (request: IssuerRequest, services: IssuerServices): Promise<Reply> =>
  changed('stop.lift', request, services, async (by) => {
    const { authority } = services;
    const stops = await stopsNow(services);
    if (isOAuthError(stops)) return stops;
    const order = stops.find(({ id }) => id === request.orderId);
    if (order === undefined) return noStop();
    if (isAbout(order, by)) {
      return oauthError('access_denied', 'a workload cannot lift a stop that covers it: another operator must');
    }
    const lifted = orderLifted(order, { by, because: 'lifted by an operator', at: authority.nowMs() });
    const done = await authority.liftOrder(order.id, orderRecords(lifted));
    if (isStoreFailure(done)) return unavailable(done);
    return done === undefined ? noStop() : { order, change: 'order-lifted', status: 200 };
  });

/** Whether a stop covers a workload, as an agent or as the user for whom others act. */
const isAbout = (order: StopOrder, workload: SpiffeId): boolean =>
  (order.kind === 'agent' && coversSpiffeId(order.what, workload)) ||
  (order.kind === 'user' && stoppedUser(order).subject === workload);

/** `GET /stops`: the stops in force. For operators. */
export async function answerStops(request: IssuerRequest, services: IssuerServices): Promise<Reply> {
  const operator = operatorOf(request, services);
  if (isOAuthError(operator)) return errorReply(operator);
  const stops = await stopsNow(services);
  return isOAuthError(stops) ? errorReply(stops) : jsonReply(200, { stops: stops.map(stopJson) });
}

/** Changes a stop for an operator, and replies with it and its receipt. */
const changed = (
  name: 'stop.make' | 'stop.lift',
  request: IssuerRequest,
  services: IssuerServices,
  change: (by: SpiffeId) => Promise<AnsweredOrder<StopOrder> | OAuthError>,
): Promise<Reply> =>
  answerChange(request, services, {
    name,
    operator: operatorOf(request, services),
    change,
    json: stopJson,
    attributes: ({ id, kind }) => ({ 'remit.stop.id': id, 'remit.stop.kind': kind }),
  });

function operatorOf(request: IssuerRequest, { ports, settings }: IssuerServices): SpiffeId | OAuthError {
  const client = clientFrom(request.certificate, settings.trustDomains, ports.nowMs());
  if (isDeny(client)) return oauthError('invalid_client', client.detail, client);
  return settings.operators.has(client.id)
    ? client.id
    : oauthError('access_denied', 'stops are for operators (issuer.operators) alone');
}

async function stopsNow({ authority }: IssuerServices): Promise<readonly StopOrder[] | OAuthError> {
  const orders = await authority.ordersInForce();
  return isStoreFailure(orders) ? unavailable(orders) : orders.list.filter((order) => order.of === 'stop');
}

const noStop = (): OAuthError => oauthError('not_found', 'there is no stop with this id in force');

const unavailable = (failure: StoreFailure): OAuthError =>
  failure.code === 'refused' || failure.code === 'full'
    ? oauthError('invalid_request', failure.detail)
    : oauthError('temporarily_unavailable', 'the state of the stops is not available');
