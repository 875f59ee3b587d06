import { stopDenial } from '../../../core/decide/stopped.ts';
import type { Deny } from '../../../core/decision/decision.ts';
import { reasons } from '../../../core/decision/reasons.ts';
import { stateUnavailable } from '../../../core/decision/unavailable.ts';
import type { StopOrder } from '../../../core/order/order.ts';
import type { Orders } from '../../../core/order/orders.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { Clocks } from '../../../core/runtime/ports.ts';
import type { Task } from '../../../core/task/task.ts';
import { type OAuthError, oauthError } from '../oauth-error.ts';
import type { IssuerServices } from '../services.ts';
import type { Intent } from './intent.ts';
import type { Origin } from './origin.ts';

/** A request for a token: of which agent, on whose behalf and for what. */
export interface StoppableRequest {
  readonly intent: Pick<Intent, 'agent' | 'server' | 'actions'>;
  readonly origin: Pick<Origin, 'actors' | 'subject' | 'place'>;
  /** The ancestors of its task, nearest first. */
  readonly above: readonly Pick<Task, 'agent'>[];
}

/** What orders are read with. */
export interface OrderServices {
  readonly authority: Pick<IssuerServices['authority'], 'ordersInForce' | 'clocks'>;
}

/**
 * The refusal of a request for a token that a stop concerns: of everything, of its agent, of an agent in its chain of delegation, or of its
 * user. A new task is refused too if its server is stopped, or if all of its actions are. `null` if no stop concerns it.
 */
export async function orderRefusal(request: StoppableRequest, services: OrderServices): Promise<OAuthError | null> {
  return refusalBy(services, (orders, now) => stopOfRequest(request, orders, now));
}

/** As {@link orderRefusal}, for what holds of a task: its agent, its chain of delegation and its user. */
export const taskRefused = (
  { agent, subject }: Pick<Task, 'agent' | 'subject'>,
  above: StoppableRequest['above'],
  services: OrderServices,
): Promise<OAuthError | null> =>
  refusalBy(services, (orders, now) =>
    stopOfChain([agent, ...above.map((task) => task.agent)], subject, { orders, now }),
  );

async function refusalBy(
  services: OrderServices,
  find: (orders: Orders, now: Clocks) => StopOrder | null,
): Promise<OAuthError | null> {
  const orders = await services.authority.ordersInForce();
  if (isStoreFailure(orders)) {
    return oauthError('temporarily_unavailable', 'the state of the stops is not available', stateUnavailable(orders));
  }
  const stopped = orders.hasStops ? stopDenial(find(orders, services.authority.clocks())) : null;
  return stopped === null ? null : stopError(stopped);
}

/** Stock clients retry after `invalid_grant`, `invalid_client` and every status of a fault, but not after `access_denied`. */
const stopError = (stopped: Deny): OAuthError => ({
  ...oauthError('access_denied', reasons[stopped.reason].text, stopped),
  reason: stopped.reason,
  next: 'stop',
});

function stopOfRequest({ intent, origin, above }: StoppableRequest, orders: Orders, now: Clocks): StopOrder | null {
  const chain = [intent.agent, ...origin.actors, ...above.map(({ agent }) => agent)];
  const stop = stopOfChain(chain, origin.subject, { orders, now });
  return stop ?? (origin.place.kind === 'same-task' ? null : stopOfIntent(intent, orders, now));
}

function stopOfChain(
  agents: readonly string[],
  subject: string,
  { orders, now }: { readonly orders: Orders; readonly now: Clocks },
): StopOrder | null {
  const ofAgents = [...new Set([...agents, subject])].map((agent) => orders.stopOf('agent', agent, now));
  return (
    orders.stopOf('all', '', now) ?? ofAgents.find((stop) => stop !== null) ?? orders.stopOfUser(subject, null, now)
  );
}

/** The stop that denies every use of an intent, whichever agent declares it. */
function stopOfIntent({ server, actions }: StoppableRequest['intent'], orders: Orders, now: Clocks): StopOrder | null {
  const ofServer = orders.stopOf('server', server.id, now);
  const ofActions = actions.map(({ id }) => orders.stopOf('action', id, now));
  return ofServer ?? (ofActions.every((stop) => stop !== null) ? (ofActions[0] ?? null) : null);
}
