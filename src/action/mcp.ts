import { deny, isDeny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import { refusedArguments } from './argument-refusal.ts';
import type { HttpCall } from './call.ts';
import type { CatalogAction, McpServer } from './catalog.ts';
import { otherArgumentIn } from './closed-arguments.ts';
import { actionOf } from './http.ts';
import type { Action } from './http.ts';
import { jsonArguments } from './json-arguments.ts';
import { jsonRpcFrom } from './json-rpc.ts';
import type { JsonRpcMessage } from './json-rpc.ts';
import { mcpReadingProblem } from './mcp-cross-check.ts';
import { mcpHeaderProblem, mcpVersionProblem } from './mcp-headers.ts';
import { isMcpParamHeader, mcpParamProblem } from './mcp-param-headers.ts';
import { mcpTargetFrom } from './mcp-target.ts';
import type { McpTarget } from './mcp-target.ts';
import { cutText } from './static-secret.ts';

const MAX_SHOWN = 200;
/** Headers that repeat the message. */
const MESSAGE_HEADERS = new Set(['mcp-method', 'mcp-name']);

/**
 * The action of a call to an MCP endpoint over streamable HTTP, revisions 2025-03-26 to 2026-07-28. The message decides; MCP
 * headers and the readings of the proxy's own filter must agree with it. A `GET`, which opens a stream, and a `DELETE`, which
 * ends a session, have no message and are decided on headers. Denies with `action.unknown` a tool, family or method that the
 * catalog does not name, unless the server has an `other`. Pure, never throws.
 */
export function mcpActionFrom(call: HttpCall, mcp: McpServer): Action | Deny {
  const version = mcpVersionProblem(call.headers);
  if (version !== null) return version;
  if (call.method !== 'POST') return withoutMessage(call, mcp);
  const message = jsonRpcFrom(call);
  if (isDeny(message)) return message;
  const target = mcpTargetFrom(message);
  if (isDeny(target)) return target;
  return (
    mcpHeaderProblem(call.headers, message, target) ??
    mcpReadingProblem(call.mcpReadings ?? [], message) ??
    attempted(call, { message, target }, mcp)
  );
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

function attempted(
  { headers }: HttpCall,
  { message, target }: { readonly message: JsonRpcMessage; readonly target: McpTarget },
  mcp: McpServer,
): Action | Deny {
  const { entry, root } = entryOf(target, mcp);
  const found = entry ?? mcp.other;
  if (found === null) return deny('action.unknown', `the catalog does not name ${shown(target)}`);
  const other = target.kind === 'tool' ? otherArgumentIn(found, root) : null;
  if (other !== null) return refusedArguments(found, other);
  const read = jsonArguments(found.args, root);
  if ('problem' in read) return refusedArguments(found, read);
  const called = target.kind === 'tool' ? { sent: target.arguments, args: read.args, specs: found.args } : null;
  const mismatch = mcpParamProblem(headers, called);
  if (mismatch !== null) return mismatch;
  const sent = { args: read.args, isDecidedOnHeaders: false, jsonRpcId: message.id };
  if (message.kind === 'answer') return actionOf(found, sent);
  const tool = target.kind === 'tool' ? cut(target.name) : null;
  return actionOf(found, { ...sent, mcp: { method: cut(message.method), tool } });
}

/** The entry of a target (`null` where the catalog has none) and the JSON its arguments are read from. */
function entryOf(target: McpTarget, mcp: McpServer): { readonly entry: CatalogAction | null; readonly root: object } {
  if (target.kind === 'tool')
    return { entry: mcp.tools.get(target.name) ?? null, root: Object.fromEntries(target.arguments) };
  if (target.kind === 'resource') return { entry: mcp.resources, root: { uri: target.name } };
  if (target.kind === 'prompt') return { entry: mcp.prompts, root: { name: target.name } };
  return { entry: target.kind === 'session' ? mcp.session : null, root: {} };
}

const shown = (target: McpTarget): string =>
  target.kind === 'other' ? `the method \`${cut(target.method)}\`` : `the ${target.kind} \`${cut(target.name ?? '')}\``;

const cut = (text: string): string => cutText(text, MAX_SHOWN);
