import type { Catalog } from '../action/catalog/catalog.ts';
import { isDeny } from '../decision/decision.ts';
import type { CallFacts } from './facts.ts';

/** The servers that a call may be for. */
export interface CalledServers {
  /** Every server of the catalog that it may be for. */
  readonly ids: readonly string[];
  /** The host, if the catalog has no server for the call; `null` otherwise. */
  readonly host: string | null;
}

/** The servers of a call, also if its action is unknown or its request could not be read. */
export function calledServers(
  { action, call, seen }: Pick<CallFacts, 'action' | 'call' | 'seen'>,
  catalog: Catalog,
): CalledServers {
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
