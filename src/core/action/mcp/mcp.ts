import { deny, isDeny } from '../../decision/decision.ts';
import type { Deny } from '../../decision/decision.ts';
import { isProblem } from '../../runtime/problem.ts';
import { refusedArguments, shownName } from '../arguments/argument-refusal.ts';
import type { HttpCall } from '../http/call.ts';
import { carriedFrom } from '../http/carried.ts';
import type { CatalogAction, McpServer } from '../catalog/catalog.ts';
import { actionOf } from '../http/http.ts';
import type { Action } from '../http/http.ts';
import { jsonRpcFrom } from '../json-rpc.ts';
import type { JsonRpcMessage } from '../json-rpc.ts';
import { isPlainError, mcpAnswerFrom } from './mcp-answer.ts';
import { mcpReadingProblem } from './mcp-cross-check.ts';
import { mcpCallFrom } from './mcp-call.ts';
import type { FollowUp } from './mcp-follow-up.ts';
import {
  headerOf,
  mcpHeaderProblem,
  mcpResumptionProblem,
  mcpRevisionOf,
  mcpSessionProblem,
  mcpVersionProblem,
  WITH_MCP_HEADERS,
} from './mcp-headers.ts';
import { isMcpParamHeader, mcpParamProblem } from './mcp-param-headers.ts';
import { mcpTargetFrom } from './mcp-target.ts';
import type { McpTarget } from './mcp-target.ts';
import { paramsProblem } from './mcp-params.ts';
import { looksLike, nameSkeleton } from './name-skeleton.ts';
import { shownTool } from './tool-changes.ts';
import { queryValues } from '../http/query.ts';
import { cutText } from '../secrets/static-secret.ts';

const MAX_SHOWN = 200;
/** Headers that repeat the message. */
const MESSAGE_HEADERS = new Set(['mcp-method', 'mcp-name']);

/**
 * The action of a call to an MCP endpoint over streamable HTTP, revisions 2025-03-26 to 2026-07-28; or what continues an earlier
 * call, whose action is known only from that. The message decides; MCP headers and the readings of the proxy's own filter must
 * agree with it. A `GET`, which opens a stream, and a `DELETE`, which ends a session, have no message and are decided on headers.
 * Denies with `action.unknown` a tool, family or method that the catalog does not name, unless the server has an `other`; with
 * `action.arguments` or `request.malformed` what the specification does not define for the method, or the catalog does not name.
 * Pure, never throws.
 */
export function mcpActionFrom(call: HttpCall, mcp: McpServer): Action | Deny | FollowUp {
  const refused =
    mcpVersionProblem(call.headers) ??
    mcpSessionProblem(call.headers) ??
    mcpResumptionProblem(call) ??
    queryProblem(call, mcp);
  if (refused !== null) return refused;
  if (call.method !== 'POST') return withoutMessage(call, mcp);
  const message = jsonRpcFrom(call);
  if (isDeny(message)) return message;
  const target = mcpTargetFrom(message);
  if (isDeny(target)) return target;
  return (
    mcpHeaderProblem(call.headers, message, target) ??
    mcpReadingProblem(call.mcpReadings ?? [], message) ??
    (message.kind === 'answer' ? answered(call, message, mcp) : called(call, { message, target }, mcp))
  );
}

/** A server's handlers see the query of the URL, so the catalog must name each of its keys. */
function queryProblem({ query }: HttpCall, { query: wanted, session }: McpServer): Deny | null {
  const read = queryValues(query, { wanted, elsewhere: [], takesOthers: false });
  return 'problem' in read ? refusedArguments(session, read) : null;
}

function withoutMessage(call: HttpCall, mcp: McpServer): Action | Deny {
  const { method, headers, body } = call;
  if ((body?.length ?? 0) > 0)
    return deny('request.unsupported', `a \`${method}\` of MCP with a body is not supported`);
  const named = [...headers.keys()].find((name) => MESSAGE_HEADERS.has(name) || isMcpParamHeader(name));
  if (named !== undefined)
    return deny('request.not-canonical', `a \`${method}\` of MCP has the header \`${named.slice(0, MAX_SHOWN)}\``);
  return (
    mcpReadingProblem(call.mcpReadings ?? [], null) ??
    actionOf(mcp.session, { args: new Map(), isDecidedOnHeaders: true })
  );
}

/** An answer to a request of the server. Without content it is the session's, otherwise it continues a call. */
function answered(
  { headers }: HttpCall,
  { id, of }: Extract<JsonRpcMessage, { readonly kind: 'answer' }>,
  mcp: McpServer,
): Action | Deny | FollowUp {
  const mismatch = mcpParamProblem(headers, null);
  if (mismatch !== null) return mismatch;
  if (mcpRevisionOf(headers) === WITH_MCP_HEADERS)
    return deny('request.malformed', `clients of revision ${WITH_MCP_HEADERS} post no answers`);
  const answer = 'error' in of ? { kind: 'nothing' as const } : mcpAnswerFrom(of.result);
  if (isProblem(answer)) return deny('action.arguments', `the answer ${answer.problem}`);
  if ('error' in of && !isPlainError(of.error))
    return deny('action.arguments', 'the error of the answer has more than a code and a short text');
  const carried = carriedFrom(new Map(Object.entries(of)));
  if (answer.kind === 'nothing')
    return actionOf(mcp.session, { args: new Map(), isDecidedOnHeaders: false, ...(carried && { carried }) });
  const session = headerOf(headers, 'mcp-session-id');
  return {
    kind: 'follow-up',
    mcp,
    session,
    sent: { kind: 'answer', id, answer },
    jsonRpcId: null,
    method: null,
    carried,
  };
}

function called(
  call: HttpCall,
  {
    message,
    target,
  }: { readonly message: Extract<JsonRpcMessage, { readonly kind: 'call' }>; readonly target: McpTarget },
  mcp: McpServer,
): Action | Deny | FollowUp {
  const known = entryOf(target, mcp);
  const changed = known === null && target.kind === 'tool' ? unreviewedTool(target.name, mcp) : null;
  if (changed !== null) return changed;
  const entry = known ?? mcp.other;
  if (entry === null) return deny('action.unknown', `the catalog does not name ${shown(target)}`);
  const problem = paramsProblem(message.method, message.params, mcpRevisionOf(call.headers));
  if (problem !== null && problem.member !== null)
    return refusedArguments(entry, { problem: `the call has another parameter, \`${shownName(problem.member)}\`` });
  if (problem !== null) return deny('request.malformed', problem.problem);
  return mcpCallFrom(call, { message, target, entry }, mcp);
}

/**
 * Denies a tool that the catalog does not name at a server with pins: if its name looks like that of a pinned tool, or if it
 * would pass as `other`, since a renamed tool would then pass unreviewed. `null` for any other tool.
 */
function unreviewedTool(name: string, { pins, other }: McpServer): Deny | null {
  if (pins.size === 0) return null;
  const own = nameSkeleton(name);
  const [like] = skeletonsOf(pins).find(([, pinned]) => looksLike(pinned, own)) ?? [];
  if (like !== undefined)
    return deny('action.changed', `the tool \`${shownTool(name)}\` looks like \`${shownTool(like)}\`, which has a pin`);
  return other === null
    ? null
    : deny('action.changed', `the tool \`${shownTool(name)}\` was not reviewed, and the server has tools with pins`);
}

/** The pinned names with their skeletons, made once for a catalog. */
const skeletons = new WeakMap<McpServer['pins'], readonly (readonly [string, string])[]>();

function skeletonsOf(pins: McpServer['pins']): readonly (readonly [name: string, skeleton: string])[] {
  const known = skeletons.get(pins) ?? Array.from(pins.keys(), (name) => [name, nameSkeleton(name)] as const);
  skeletons.set(pins, known);
  return known;
}

/** The entry of a target; `null` if the catalog has none. */
function entryOf(target: McpTarget, mcp: McpServer): CatalogAction | null {
  switch (target.kind) {
    case 'tool':
      return mcp.tools.get(target.name) ?? null;
    case 'resource':
      return mcp.resources;
    case 'prompt':
      return mcp.prompts;
    case 'session':
    case 'task':
      return mcp.session;
    case 'other':
      return null;
    default:
      return target satisfies never;
  }
}

const shown = (target: McpTarget): string =>
  target.kind === 'other' ? `the method \`${cut(target.method)}\`` : `the ${target.kind} \`${cut(target.name ?? '')}\``;

const cut = (text: string): string => cutText(text, MAX_SHOWN);
