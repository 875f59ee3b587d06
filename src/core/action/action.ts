import { deny, isDeny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import { a2aActionFrom } from './a2a/a2a.ts';
import { hasBody, isMethodWithBody } from './http/body.ts';
import type { HttpCall } from './http/call.ts';
import type { Catalog, RouteTarget } from './catalog/catalog.ts';
import { grpcActionFrom } from './grpc/grpc.ts';
import { actionOf, httpActionFrom } from './http/http.ts';
import type { Action } from './http/http.ts';
import { mcpActionFrom } from './mcp/mcp.ts';
import { followUpActionFrom, isFollowUp } from './mcp/mcp-follow-up.ts';
import type { FollowUp } from './mcp/mcp-follow-up.ts';
import { noPriorCalls } from './mcp/prior-calls.ts';
import { otherHeaders } from './http/other-headers.ts';
import { cutText } from './secrets/static-secret.ts';

const MAX_SHOWN = 200;

/**
 * The action that a call attempts, given the earlier calls that it may continue (default: none): `attemptFrom`, then
 * `followUpActionFrom`. Pure, never throws.
 */
export function actionFrom(call: HttpCall, catalog: Catalog, prior = noPriorCalls): Action | Deny {
  const attempt = attemptFrom(call, catalog);
  return isFollowUp(attempt) ? followUpActionFrom(attempt, prior) : attempt;
}

/**
 * What a call attempts: an action, or a message that continues an earlier call. Denies with `action.unknown` for a host, path or
 * route that the catalog does not name, `request.not-canonical` for a path that a less exact router could send to another server
 * or route, `request.unsupported` for a `GET` or `HEAD` with a body, and `action.arguments` for arguments that do not match their
 * declaration. The reader of each protocol adds its own denials. Pure, never throws.
 */
export function attemptFrom(call: HttpCall, catalog: Catalog): Action | Deny | FollowUp {
  if (!isMethodWithBody(call.method) && hasBody(call))
    return deny('request.unsupported', `a \`${call.method}\` with a body is not supported`);
  const segments = call.segments.length === 0 ? [''] : call.segments;
  const at = catalog.serverAt(call.host, segments);
  if (at.kind === 'unknown-host')
    return deny('action.unknown', `no server of the catalog has the host ${shown(call.host)}`);
  if (at.kind === 'unknown-path')
    return deny('action.unknown', `no server of the host ${shown(call.host)} has the path ${shown(call.path)}`);
  if (at.kind === 'lookalike')
    return deny('request.not-canonical', `the path can be taken for one of the server \`${at.of.id}\``);
  const { server } = at;
  const target = catalog.find(server, call.method, segments);
  if (target !== undefined) return withOtherHeaders(actionAt(target, call), call, target);
  const what = shown(`${call.method} ${call.path}`);
  return deny('action.unknown', `no route of the server \`${server.id}\` matches ${what}`);
}

/**
 * The action at the route of a call, by method and path, without arguments: for a call whose message or arguments are not read.
 * `action.unknown` if only a message names the action (MCP, A2A), or if no route matches.
 */
export function routedAction(call: HttpCall, catalog: Catalog): Action | Deny {
  const segments = call.segments.length === 0 ? [''] : call.segments;
  const at = catalog.serverAt(call.host, segments);
  const target = at.kind === 'server' ? catalog.find(at.server, call.method, segments) : undefined;
  return target?.kind === 'http' || target?.kind === 'grpc'
    ? actionOf(target.action, { args: new Map(), isDecidedOnHeaders: true })
    : deny('action.unknown', 'the message of a refused caller is not read');
}

function actionAt(target: RouteTarget, call: HttpCall): Action | Deny | FollowUp {
  if (target.kind === 'lookalike') {
    const { action, of } = target;
    return deny('request.not-canonical', `the path of a call to \`${action.id}\` can be taken for ${of}`);
  }
  if (target.kind === 'http') return httpActionFrom(call, target.action);
  if (target.kind === 'grpc') return grpcActionFrom(call, target.action);
  return target.kind === 'mcp' ? mcpActionFrom(call, target.mcp) : a2aActionFrom(call, target.a2a);
}

/** Adds the headers that no rule reads, for the record. */
function withOtherHeaders(
  attempt: Action | Deny | FollowUp,
  call: HttpCall,
  { kind }: RouteTarget,
): Action | Deny | FollowUp {
  if (isDeny(attempt) || kind === 'lookalike') return attempt;
  const others = otherHeaders(call, kind);
  return others === undefined ? attempt : { ...attempt, otherHeaders: others };
}

const shown = (text: string): string => `\`${cutText(text, MAX_SHOWN)}\``;
