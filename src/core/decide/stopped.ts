import { deniedActionOf } from '../action/denied-action.ts';
import { deniedCallFrom } from '../action/denied-call.ts';
import { allReadings } from '../action/http/http.ts';
import { deny, isDeny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import type { StopOrder } from '../order/order.ts';
import type { PolicySet } from '../policy/loading/load.ts';
import { calledServers } from './called-servers.ts';
import type { CallFacts } from './facts.ts';

/**
 * The stop that concerns a call: of everything, of its caller, of a server or an action that it may be for; `null` if there is
 * none. Needs neither a credential nor a readable action.
 */
export function stoppedCall(facts: CallFacts, policies: PolicySet | Deny): Deny | null {
  const { orders } = facts;
  if (!orders.hasStops) return null;
  const now = clocksOf(facts);
  const caller = isDeny(facts.caller) ? (facts.seen?.caller ?? facts.caller) : facts.caller;
  const { servers, actions } = calledIn(facts, policies);
  return (
    stopDenial(orders.stopOf('all', '', now)) ??
    (isDeny(caller) ? null : stopDenial(orders.stopOf('agent', caller.id, now))) ??
    firstOf(servers, (server) => orders.stopOf('server', server, now)) ??
    firstOf(actions, (action) => orders.stopOf('action', action, now))
  );
}

/**
 * The stop that concerns a verified credential: of an agent in its chain of delegation, or of its user; `null` if there is none. The chain is
 * signed into a task token: its client, the agents that delegated to it, and a subject that is itself an agent.
 */
export function stoppedCredential(facts: CallFacts): Deny | null {
  const { orders, credential } = facts;
  if (!orders.hasStops || isDeny(credential) || credential.kind === 'workload-identity') return null;
  const now = clocksOf(facts);
  const { clientId, issuer, subject } = credential;
  const isOfTask = credential.kind === 'task-token';
  const chain = [...(clientId === null ? [] : [clientId]), ...(isOfTask ? credential.actors : []), subject];
  return (
    firstOf(chain, (agent) => orders.stopOf('agent', agent, now)) ??
    // A task does not know who vouched for its subject.
    stopDenial(orders.stopOfUser(subject, isOfTask ? null : issuer, now))
  );
}

/** The denial of what is stopped. By whom and why is for telemetry and the ledger alone. */
export const stopDenial = (stop: StopOrder | null): Deny | null =>
  stop === null ? null : deny(`stopped.${stop.kind}`, `stop \`${stop.id}\` by \`${stop.by}\`: ${stop.because}`);

function firstOf(names: readonly string[], find: (name: string) => StopOrder | null): Deny | null {
  for (const name of names) {
    const stop = find(name);
    if (stop !== null) return stopDenial(stop);
  }
  return null;
}

const clocksOf = ({ nowMs, floorMs }: CallFacts) => ({ wallMs: nowMs, floorMs });

/**
 * The servers and actions that a call may be for: those of all its readings. If its action could not be read, the action that its denial
 * names, and each server of its host and path.
 */
function calledIn(
  facts: CallFacts,
  policies: PolicySet | Deny,
): { readonly servers: readonly string[]; readonly actions: readonly string[] } {
  const { action, call } = facts;
  if (!isDeny(action)) {
    const readings = allReadings(action);
    return { servers: readings.map(({ server }) => server.id), actions: readings.map(({ id }) => id) };
  }
  if (isDeny(policies)) return NOTHING;
  const { catalog } = policies;
  const denied = isDeny(call) ? undefined : deniedActionOf(deniedCallFrom(call, catalog), catalog).action;
  return { servers: calledServers(facts, catalog).ids, actions: denied === undefined ? [] : [denied] };
}

const NOTHING = { servers: [], actions: [] };
