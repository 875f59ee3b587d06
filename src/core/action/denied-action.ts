import { isDeny } from '../decision/decision.ts';
import type { DenialFacts } from '../decision/denial-facts.ts';
import type { HttpCall } from './http/call.ts';
import type { Catalog, CatalogAction, Server } from './catalog/catalog.ts';
import type { DeniedCall } from './denied-call.ts';
import { mcpTargetFrom } from './mcp/mcp-target.ts';
import { nearestId } from './catalog/nearest.ts';

/**
 * The action of a denied call, if the catalog names its route, tool or method; otherwise the nearest action of the same server by
 * tool, method or path, of at most 256 compared. Empty if there is neither. Pure.
 */
export function deniedActionOf(denied: DeniedCall, catalog: Catalog): Pick<DenialFacts, 'action' | 'nearest'> {
  const { call, server, target } = denied;
  if (server === null) return {};
  if (target === undefined) return nearestTo(call.path, pathsLike(call, server, catalog));
  if (target.kind === 'http' || target.kind === 'grpc' || target.kind === 'lookalike')
    return { action: target.action.id };
  const name = nameIn(denied, target.kind);
  if (name === null) return {};
  const named = target.kind === 'mcp' ? target.mcp.tools : target.a2a.methods;
  const action = named.get(name);
  return action === undefined ? nearestTo(name, named) : { action: action.id };
}

/** The tool or A2A method that a message calls; `null` if it calls none. */
function nameIn({ message }: DeniedCall, kind: 'mcp' | 'a2a'): string | null {
  if (message === null || isDeny(message) || message.kind === 'answer') return null;
  if (kind === 'a2a') return message.method;
  const target = mcpTargetFrom(message);
  return !isDeny(target) && target.kind === 'tool' ? target.name : null;
}

const MAX_COMPARED = 256;

function nearestTo(text: string, named: Iterable<readonly [string, CatalogAction]>): Pick<DenialFacts, 'nearest'> {
  const actions = new Map<string, CatalogAction>();
  for (const [name, action] of named) {
    if (actions.size === MAX_COMPARED) break;
    if (!actions.has(name)) actions.set(name, action);
  }
  const nearest = actions.get(nearestId(text, actions.keys()) ?? '');
  return nearest === undefined ? {} : { nearest: nearest.id };
}

/** The routes of a server with the method and as many segments, their parameters filled in from the call. */
function* pathsLike(
  { method, path }: HttpCall,
  server: Server,
  { actions }: Catalog,
): Generator<readonly [string, CatalogAction]> {
  const sent = path.split('/');
  for (const action of actions.values()) {
    if (action.server !== server || action.kind !== 'http' || action.method !== method) continue;
    const segments = action.template.split('/');
    if (segments.length !== sent.length) continue;
    yield [segments.map((text, at) => (text.startsWith('{') ? (sent[at] ?? '') : text)).join('/'), action];
  }
}
