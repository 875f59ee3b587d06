import { isDeny } from '../decision/decision.ts';
import type { HttpCall } from './call.ts';
import type { Catalog } from './catalog.ts';
import { jsonRpcFrom } from './json-rpc.ts';
import type { JsonRpcId } from './json-rpc.ts';

/** What turns a denial into a JSON-RPC error that the client recognises. */
export interface JsonRpcDenial {
  /** Id of the request; `null` where it has none or cannot be parsed. */
  readonly id: JsonRpcId | null;
  readonly code: number;
}

/**
 * Error codes. MCP: the code of AuthZEN's binding. A2A defines codes from -32001 (task not found, which clients would show), so
 * there it is the last code that JSON-RPC leaves to servers.
 */
const CODES = { mcp: -32_001, a2a: -32_099 } as const;

/**
 * How a denial of the call must be answered as JSON-RPC; `undefined` where the client does not expect JSON-RPC: the call is not
 * to an MCP or A2A endpoint, or has no message.
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
