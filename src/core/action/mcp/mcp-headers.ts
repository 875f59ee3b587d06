/** The headers of MCP, compared with the message that they repeat. */
import { deny } from '../../decision/decision.ts';
import type { Deny } from '../../decision/decision.ts';
import type { HttpCall } from '../http/call.ts';
import type { JsonRpcMessage } from '../json-rpc.ts';
import { objectMembers } from '../json-rpc.ts';
import { mcpHeaderText } from './mcp-header-text.ts';
import type { McpTarget } from './mcp-target.ts';

/** Supported revisions of the streamable HTTP transport, oldest first. */
export const MCP_REVISIONS = ['2025-03-26', '2025-06-18', '2025-11-25', '2026-07-28'] as const;

/** An accepted revision. */
export type McpRevision = (typeof MCP_REVISIONS)[number];

/** The first revision whose requests repeat their method and name in headers. */
export const WITH_MCP_HEADERS = '2026-07-28';
const VERSION_IN_BODY = 'io.modelcontextprotocol/protocolVersion';

const SINGLE = ['mcp-protocol-version', 'mcp-method', 'mcp-name', 'mcp-session-id', 'last-event-id'];
const MAX_EVENT_ID = /^[\x20-\x7e]{1,256}$/;

type Headers = HttpCall['headers'];

/**
 * Why a call's protocol version is not accepted: `request.unsupported` for a revision not in `MCP_REVISIONS`,
 * `request.not-canonical` for a repeated MCP header; `null` if it is. A call without a version is of the first revision.
 */
export function mcpVersionProblem(headers: Headers): Deny | null {
  const repeated = SINGLE.find((name) => (headers.get(name)?.length ?? 0) > 1);
  if (repeated !== undefined)
    return deny('request.not-canonical', `the header \`${repeated}\` has more than one value`);
  const version = headerOf(headers, 'mcp-protocol-version');
  if (version === null || MCP_REVISIONS.some((revision) => revision === version)) return null;
  return deny('request.unsupported', 'the revision of MCP is not supported');
}

const MAX_SESSION_ID_CHARS = 2_048;
const SESSION_ID = /^[\x21-\x7e]+$/;

/**
 * Why `Mcp-Session-Id` is refused: a server chooses it, of visible ASCII (as of 2025-11-25), and 2,048 characters hold a signed id.
 * `null` if it is accepted or not sent.
 */
export function mcpSessionProblem(headers: Headers): Deny | null {
  const id = headerOf(headers, 'mcp-session-id');
  return id === null || (id.length <= MAX_SESSION_ID_CHARS && SESSION_ID.test(id))
    ? null
    : deny(
        'request.malformed',
        `the header \`mcp-session-id\` is not 1 to ${MAX_SESSION_ID_CHARS} visible characters of ASCII`,
      );
}

/** The revision that a call names; without one the first. Only for calls whose version is accepted. */
export function mcpRevisionOf(headers: Headers): McpRevision {
  const version = headerOf(headers, 'mcp-protocol-version');
  return MCP_REVISIONS.find((revision) => revision === version) ?? MCP_REVISIONS[0];
}

/**
 * Why `Last-Event-ID` is refused: it resumes the stream of a `GET`, in the revisions that have such a stream, and is up to 256 characters
 * of ASCII. `null` if it is accepted or not sent.
 */
export function mcpResumptionProblem({ headers, method }: Pick<HttpCall, 'headers' | 'method'>): Deny | null {
  const id = headerOf(headers, 'last-event-id');
  if (id === null) return null;
  return method === 'GET' && mcpRevisionOf(headers) !== WITH_MCP_HEADERS && MAX_EVENT_ID.test(id)
    ? null
    : deny('request.malformed', 'the header `last-event-id` does not resume a stream');
}

/**
 * Checks that headers and message agree, so that anything that routes by headers sees what the server acts on: `Mcp-Method` and
 * `Mcp-Name` if they are sent; from revision 2026-07-28 on the method is required, and requests name the revision in their
 * `_meta` too, since servers differ in which of the two they use. `null` if they agree.
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
  return message.kind === 'call' ? versionProblem(version, { params: message.params, isRequest }) : null;
}

/** The first value of a header; `null` if it is absent. */
export const headerOf = (headers: Headers, name: string): string | null => headers.get(name)?.[0] ?? null;

function versionProblem(
  header: string | null,
  { params, isRequest }: { readonly params: ReadonlyMap<string, unknown>; readonly isRequest: boolean },
): Deny | null {
  const inBody = objectMembers(params.get('_meta'))?.get(VERSION_IN_BODY);
  if (inBody !== undefined) return inBody === header ? null : differs('mcp-protocol-version');
  return isRequest && header === WITH_MCP_HEADERS
    ? deny('request.malformed', `revision ${WITH_MCP_HEADERS} requires \`${VERSION_IN_BODY}\` in \`_meta\``)
    : null;
}

const differs = (header: string): Deny =>
  deny('request.not-canonical', `the header \`${header}\` differs from the message`);
