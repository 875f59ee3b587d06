import { isDeny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import { coversSpiffeId } from '../identity/spiffe-id-pattern.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import type { ObserveOrder } from '../order/order.ts';
import type { Orders } from '../order/orders.ts';
import { EVERY_AGENT } from '../policy/enforcement.ts';
import type { ObserveEntry } from '../policy/enforcement.ts';
import type { PolicySet } from '../policy/loading/load.ts';
import { laterOf } from '../runtime/ports.ts';
import type { Clocks } from '../runtime/ports.ts';
import { calledServers } from './called-servers.ts';
import type { CalledServers } from './called-servers.ts';
import type { CallFacts } from './facts.ts';

/** The facts by which a call is covered. */
type CoveredFacts = Pick<CallFacts, 'call' | 'caller' | 'action' | 'seen' | 'orders' | 'nowMs' | 'floorMs'>;

/** Why a call is only observed: an entry of `enforcement.yaml`, or the order of an operator in an emergency. */
export type Mode = ObserveEntry | ObserveOrder;

/** Whether a call is observed because of an emergency. */
export const isEmergency = (mode: Mode): mode is ObserveOrder => 'of' in mode;

/**
 * What covers a call: the first entry of the file whose agents, servers and end fit, else the first emergency; `null` if the call is enforced.
 * The end is judged by the later of clock and floor, so that a clock that is set back opens no entry again. Without a policy set nothing is
 * observed. An emergency covers no call of the operator who gave the order: nobody decides for himself. Pure, total.
 */
export function modeOf(facts: CoveredFacts, policies: Pick<PolicySet, 'observed' | 'catalog'> | Deny): Mode | null {
  if (isDeny(policies)) return null;
  const emergencies = facts.orders.observing({ wallMs: facts.nowMs, floorMs: facts.floorMs });
  if (policies.observed.length === 0 && emergencies.length === 0) return null;
  const nowMs = Math.max(facts.nowMs, facts.floorMs);
  const caller = callerOf(facts);
  const servers = calledServers(facts, policies.catalog);
  const isCoveredBy = ({ agents, servers: named }: Pick<Mode, 'agents' | 'servers'>): boolean =>
    isOfAgents(agents, caller) && (named === null || isOfServers(named, servers));
  return (
    policies.observed.find((entry) => nowMs < entry.untilMs && isCoveredBy(entry)) ??
    emergencies.find((order) => order.by !== caller && isCoveredBy(order)) ??
    null
  );
}

/**
 * Why some calls are only observed now: an entry that has not ended, else an emergency in force; `null` if every call is
 * enforced.
 */
export function observedBy(
  { observed }: Pick<PolicySet, 'observed'>,
  orders: Orders,
  clocks: Pick<Clocks, 'wallMs' | 'floorMs'>,
): 'entry' | 'emergency' | null {
  const nowMs = laterOf(clocks);
  if (observed.some(({ untilMs }) => nowMs < untilMs)) return 'entry';
  return orders.observing(clocks).length > 0 ? 'emergency' : null;
}

/** Whether the calls of an agent to a server of the catalog are only observed now, by an entry that has not ended or an emergency. */
export function observesAgent(
  { agent, server }: { readonly agent: SpiffeId; readonly server: string },
  { observed }: Pick<PolicySet, 'observed'>,
  { orders, clocks }: { readonly orders: Orders; readonly clocks: Pick<Clocks, 'wallMs' | 'floorMs'> },
): boolean {
  const nowMs = laterOf(clocks);
  const covers = ({ agents, servers }: Pick<Mode, 'agents' | 'servers'>): boolean =>
    isOfAgents(agents, agent) && (servers === null || servers.includes(server));
  return (
    observed.some((entry) => nowMs < entry.untilMs && covers(entry)) ||
    orders.observing(clocks).some((order) => order.by !== agent && covers(order))
  );
}

/** The SPIFFE ID of the verified caller; `null` without one. */
function callerOf({ caller, seen }: CoveredFacts): SpiffeId | null {
  const known = isDeny(caller) ? (seen?.caller ?? caller) : caller;
  return isDeny(known) ? null : known.id;
}

const isOfAgents = (agents: ObserveEntry['agents'], caller: SpiffeId | null): boolean => {
  if (agents === null) return caller === null;
  return caller !== null && agents.some((agent) => agent === EVERY_AGENT || coversSpiffeId(agent, caller));
};

const isOfServers = (named: readonly string[], { ids, host }: CalledServers): boolean =>
  host === null
    ? ids.length > 0 && ids.every((id) => named.includes(id))
    : named.some((name) => (name.startsWith('*.') ? host.endsWith(name.slice(1)) : name === host));
