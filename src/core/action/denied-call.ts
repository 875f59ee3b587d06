import type { HttpCall } from './http/call.ts';
import type { Catalog, RouteTarget, Server } from './catalog/catalog.ts';
import { jsonRpcFrom } from './json-rpc.ts';
import type { JsonRpcMessage } from './json-rpc.ts';
import type { Deny } from '../decision/decision.ts';

/** What the answer to a denied call is made of, read once: the server and target of the call in the catalog, and its JSON-RPC message. */
export interface DeniedCall {
  readonly call: HttpCall;
  /** `null` if the catalog has no such server. */
  readonly server: Server | null;
  /** `undefined` if the server has no such route. */
  readonly target: RouteTarget | undefined;
  /** `null` if the call is not a message to an MCP server or an A2A agent. */
  readonly message: JsonRpcMessage | Deny | null;
}

/** Reads a denied call. Pure, never throws. */
export function deniedCallFrom(call: HttpCall, catalog: Catalog): DeniedCall {
  const segments = call.segments.length === 0 ? [''] : call.segments;
  const at = catalog.serverAt(call.host, segments);
  if (at.kind !== 'server') return { call, server: null, target: undefined, message: null };
  const target = catalog.find(at.server, call.method, segments);
  const isMessage = call.method === 'POST' && (target?.kind === 'mcp' || target?.kind === 'a2a');
  return { call, server: at.server, target, message: isMessage ? jsonRpcFrom(call) : null };
}
