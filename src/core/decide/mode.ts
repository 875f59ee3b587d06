import { isDeny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import { coversSpiffeId } from '../identity/spiffe-id-pattern.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { EVERY_AGENT } from '../policy/enforcement.ts';
import type { ObserveEntry } from '../policy/enforcement.ts';
import type { PolicySet } from '../policy/loading/load.ts';
import { calledServers } from './called-servers.ts';
import type { CalledServers } from './called-servers.ts';
import type { CallFacts } from './facts.ts';

/** The facts by which a call is covered. */
type CoveredFacts = Pick<CallFacts, 'call' | 'caller' | 'action' | 'seen' | 'nowMs' | 'floorMs'>;

/**
 * The entry that covers a call: the first of the file whose agents, servers and end fit; `null` if the call is enforced. The end is judged by
 * the later of clock and floor, so that a clock that is set back opens no entry again. Without a policy set nothing is observed. Pure, total.
 */
export function modeOf(
  facts: CoveredFacts,
  policies: Pick<PolicySet, 'observed' | 'catalog'> | Deny,
): ObserveEntry | null {
  if (isDeny(policies) || policies.observed.length === 0) return null;
  const nowMs = Math.max(facts.nowMs, facts.floorMs);
  const caller = callerOf(facts);
  const servers = calledServers(facts, policies.catalog);
  return (
    policies.observed.find(
      ({ agents, servers: named, untilMs }) =>
        nowMs < untilMs && isOfAgents(agents, caller) && (named === null || isOfServers(named, servers)),
    ) ?? null
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
