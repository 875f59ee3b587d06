import { isDeny } from '../decision/decision.ts';
import type { HttpCall } from './call.ts';
import type { Catalog } from './catalog.ts';
import { jsonRpcFrom } from './json-rpc.ts';
import type { JsonRpcId } from './json-rpc.ts';

/**
 * What a denial of a call is answered under: the id of the JSON-RPC request in it, or `null` where it has none or cannot be
 * read. `undefined` where a client does not expect JSON-RPC: the call is to no endpoint of MCP or A2A, or has no message.
 */
export function jsonRpcIdOf(call: HttpCall, catalog: Catalog): JsonRpcId | null | undefined {
  const server = catalog.serversByHost.get(call.host);
  if (server === undefined || call.method !== 'POST') return undefined;
  const kind = catalog.find(server, call.method, call.segments.length === 0 ? [''] : call.segments)?.kind;
  if (kind !== 'mcp' && kind !== 'a2a') return undefined;
  const message = jsonRpcFrom(call);
  return isDeny(message) || message.kind === 'answer' ? null : message.id;
}
