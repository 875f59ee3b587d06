import { deny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import type { HttpCall } from './call.ts';
import type { JsonRpcMessage } from './json-rpc.ts';
import { objectMembers } from './json-rpc.ts';
import { mcpHeaderText } from './mcp-header-text.ts';
import type { McpTarget } from './mcp-target.ts';

/** Supported revisions of the streamable HTTP transport, oldest first. */
export const MCP_REVISIONS = ['2025-03-26', '2025-06-18', '2025-11-25', '2026-07-28'] as const;

/** The first revision whose requests repeat their method and name in headers. */
export const WITH_MCP_HEADERS = '2026-07-28';
const VERSION_IN_BODY = 'io.modelcontextprotocol/protocolVersion';

const SINGLE = ['mcp-protocol-version', 'mcp-method', 'mcp-name'];

type Headers = HttpCall['headers'];

/**
 * Why a call's protocol version is not accepted: `request.unsupported` for a revision not in `MCP_REVISIONS`,
 * `request.not-canonical` for a repeated MCP header; `null` where it is. A call without a version is of the first revision.
 */
export function mcpVersionProblem(headers: Headers): Deny | null {
  const repeated = SINGLE.find((name) => (headers.get(name)?.length ?? 0) > 1);
  if (repeated !== undefined)
    return deny('request.not-canonical', `the header \`${repeated}\` has more than one value`);
  const version = headerOf(headers, 'mcp-protocol-version');
  if (version === null || MCP_REVISIONS.some((revision) => revision === version)) return null;
  return deny('request.unsupported', 'the revision of MCP is not supported');
}

/**
 * Checks that headers and message agree, so that anything that routes by headers sees what the server acts on: `Mcp-Method` and
 * `Mcp-Name` where they are sent; from revision 2026-07-28 on the method is required. `null` where they agree.
 *
 * @see https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http
 */
export function mcpHeaderProblem(headers: Headers, message: JsonRpcMessage, target: McpTarget): Deny | null {
  const version = headerOf(headers, 'mcp-protocol-version');
  const method = headerOf(headers, 'mcp-method');
  const sent = message.kind === 'call' ? message.method : null;
  if (method !== null && method !== sent) return differs('mcp-method');
  const isRequest = message.kind === 'call' && message.id !== null;
  if (method === null && isRequest && version === WITH_MCP_HEADERS) {
    return deny('request.malformed', `revision ${WITH_MCP_HEADERS} requires the header \`mcp-method\``);
  }
  const name = headerOf(headers, 'mcp-name');
  if (name !== null && mcpHeaderText(name) !== target.name) return differs('mcp-name');
  return message.kind === 'call' && versionDiffers(version, message.params) ? differs('mcp-protocol-version') : null;
}

/** The first value of a header; `null` where it is absent. */
export const headerOf = (headers: Headers, name: string): string | null => headers.get(name)?.[0] ?? null;

function versionDiffers(header: string | null, params: ReadonlyMap<string, unknown>): boolean {
  const inBody = objectMembers(params.get('_meta'))?.get(VERSION_IN_BODY);
  return inBody !== undefined && header !== null && inBody !== header;
}

const differs = (header: string): Deny =>
  deny('request.not-canonical', `the header \`${header}\` differs from the message`);
