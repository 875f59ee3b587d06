import { deny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import type { JsonRpcMessage } from './json-rpc.ts';
import { lookalike, objectMembers } from './json-rpc.ts';

/** What one MCP message is about. */
export type McpTarget =
  | { readonly kind: 'tool'; readonly name: string; readonly arguments: ReadonlyMap<string, unknown> }
  | { readonly kind: 'resource'; readonly name: string }
  | { readonly kind: 'prompt'; readonly name: string }
  /** What keeps a session going and says what there is; `name` is the task it asks for, where it is about one. */
  | { readonly kind: 'session'; readonly name: string | null }
  /** A method that MCP does not have, or a notification that is sent as a request. */
  | { readonly kind: 'other'; readonly name: null; readonly method: string };

type Params = ReadonlyMap<string, unknown>;
type TargetReader = (params: Params) => McpTarget | Deny;

const session: TargetReader = () => ({ kind: 'session', name: null });
const resource: TargetReader = (params) => named('resource', params.get('uri'));
const prompt: TargetReader = (params) => named('prompt', params.get('name'));
const task: TargetReader = (params) => named('session', params.get('taskId'));

/**
 * Every request a client has in the revisions 2025-03-26 to 2026-07-28.
 *
 * @see https://modelcontextprotocol.io/specification
 */
const REQUESTS: ReadonlyMap<string, TargetReader> = new Map<string, TargetReader>([
  ['tools/call', tool],
  ['resources/read', resource],
  ['resources/subscribe', resource],
  ['resources/unsubscribe', resource],
  ['prompts/get', prompt],
  ['completion/complete', completion],
  ['initialize', session],
  ['ping', session],
  ['server/discover', session],
  ['tools/list', session],
  ['resources/list', session],
  ['resources/templates/list', session],
  ['prompts/list', session],
  ['logging/setLevel', session],
  ['subscriptions/listen', session],
  ['tasks/list', session],
  ['tasks/get', task],
  ['tasks/result', task],
  ['tasks/update', task],
  ['tasks/cancel', task],
]);

/** Every notification a client has in those revisions; others are the server's, or of no revision. */
const NOTIFICATIONS: ReadonlySet<string> = new Set([
  'notifications/initialized',
  'notifications/cancelled',
  'notifications/progress',
  'notifications/roots/list_changed',
  'notifications/tasks/status',
]);

/** Members of `params` that say what a message is about. */
const DECIDING = ['name', 'arguments', 'uri', 'ref', 'taskId', '_meta'];

/**
 * What a message is about. A target that is missing or no text denies with `request.malformed`, a parameter that a
 * careless reader takes for a deciding one with `request.not-canonical`.
 *
 * MCP has no request without an id: a server may act on one all the same, so it is `request.malformed`, whatever the catalog
 * says of other methods. A notification with an id, or one that no revision has, is a method that MCP does not have.
 */
export function mcpTargetFrom(message: JsonRpcMessage): McpTarget | Deny {
  if (message.kind === 'answer') return { kind: 'session', name: null };
  const taken = lookalike(message.params.keys(), DECIDING);
  if (taken !== null) return deny('request.not-canonical', `a parameter can be taken for \`${taken}\``);
  const { id, method, params } = message;
  if (id === null && NOTIFICATIONS.has(method)) return { kind: 'session', name: null };
  const reader = REQUESTS.get(method);
  if (reader === undefined) return { kind: 'other', name: null, method };
  return id === null
    ? malformed(`the method \`${method}\` of MCP is a request, which must have an id`)
    : reader(params);
}

function tool(params: Params): McpTarget | Deny {
  const name = params.get('name');
  const sent = params.has('arguments') ? objectMembers(params.get('arguments')) : new Map<string, unknown>();
  if (typeof name !== 'string') return malformed('the tool has no name');
  return sent === null ? malformed('the arguments are no object') : { kind: 'tool', name, arguments: sent };
}

function completion(params: Params): McpTarget | Deny {
  const reference = objectMembers(params.get('ref'));
  const taken = lookalike(reference?.keys() ?? [], ['type', 'name', 'uri']);
  if (taken !== null) return deny('request.not-canonical', `a member of \`ref\` can be taken for \`${taken}\``);
  if (reference?.get('type') === 'ref/prompt') return named('prompt', reference.get('name'));
  if (reference?.get('type') === 'ref/resource') return named('resource', reference.get('uri'));
  return malformed('the completion refers to neither a prompt nor a resource');
}

const named = (kind: 'resource' | 'prompt' | 'session', name: unknown): McpTarget | Deny =>
  typeof name === 'string' ? { kind, name } : malformed(`the ${kind === 'session' ? 'task' : kind} has no name`);

const malformed = (detail: string): Deny => deny('request.malformed', detail);
