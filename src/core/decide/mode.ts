import type { Catalog } from '../action/catalog/catalog.ts';
import { isDeny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import { coversSpiffeId } from '../identity/spiffe-id-pattern.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { EVERY_AGENT } from '../policy/enforcement.ts';
import type { ObserveEntry } from '../policy/enforcement.ts';
import type { PolicySet } from '../policy/loading/load.ts';
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
  const servers = serversOf(facts, policies.catalog);
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

/** What a call can be said to go to. */
interface CalledServers {
  /** Every server of the catalog that it may be for; an entry must name all of them. */
  readonly ids: readonly string[];
  /** The host, if the catalog has no server for the call; `null` otherwise. */
  readonly host: string | null;
}

const isOfServers = (named: readonly string[], { ids, host }: CalledServers): boolean =>
  host === null
    ? ids.length > 0 && ids.every((id) => named.includes(id))
    : named.some((name) => (name.startsWith('*.') ? host.endsWith(name.slice(1)) : name === host));

function serversOf({ action, call, seen }: CoveredFacts, catalog: Catalog): CalledServers {
  if (!isDeny(action)) return { ids: [action.server.id], host: null };
  if (isDeny(call)) return serversOfHost(seen?.host ?? null, catalog);
  const at = catalog.serverAt(call.host, call.segments.length === 0 ? [''] : call.segments);
  if (at.kind === 'server') return { ids: [at.server.id], host: null };
  return at.kind === 'lookalike' ? { ids: [at.server.id, at.of.id], host: null } : { ids: [], host: call.host };
}

/** A request that could not be read may be for any server of its host. */
function serversOfHost(host: string | null, { servers }: Catalog): CalledServers {
  const ids = host === null ? [] : [...servers.values()].filter(({ hosts }) => hosts.has(host)).map(({ id }) => id);
  return ids.length === 0 ? { ids, host } : { ids, host: null };
}
