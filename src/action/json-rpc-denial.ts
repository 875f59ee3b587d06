import { isDeny } from '../decision/decision.ts';
import type { HttpCall } from './call.ts';
import type { Catalog } from './catalog.ts';
import { jsonRpcFrom } from './json-rpc.ts';
import type { JsonRpcId } from './json-rpc.ts';

/** What makes a denial a JSON-RPC error that the client takes for one. */
export interface JsonRpcDenial {
  /** Of the request; `null` where it has none or cannot be read. */
  readonly id: JsonRpcId | null;
  readonly code: number;
}

/**
 * The code of a denial: for MCP that of AuthZEN's binding. In A2A -32001 says that there is no such task, and
 * clients show it as that: there it is the last of the codes that JSON-RPC leaves to servers, far from those A2A gives out,
 * which begin at -32001.
 */
const CODES = { mcp: -32_001, a2a: -32_099 } as const;

/**
 * What a denial of a call is answered under. `undefined` where a client does not expect JSON-RPC: the call is to no endpoint
 * of MCP or A2A, or has no message.
 */
export function jsonRpcDenialOf(call: HttpCall, catalog: Catalog): JsonRpcDenial | undefined {
  if (call.method !== 'POST') return undefined;
  const segments = call.segments.length === 0 ? [''] : call.segments;
  const at = catalog.serverAt(call.host, segments);
  const kind = at.kind === 'server' ? catalog.find(at.server, call.method, segments)?.kind : undefined;
  if (kind !== 'mcp' && kind !== 'a2a') return undefined;
  const message = jsonRpcFrom(call);
  return { id: isDeny(message) || message.kind === 'answer' ? null : message.id, code: CODES[kind] };
}
