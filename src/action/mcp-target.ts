import { deny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import type { JsonRpcMessage } from './json-rpc.ts';
import { lookalike, objectMembers } from './json-rpc.ts';

/** What an MCP message is about. */
export type McpTarget =
  | { readonly kind: 'tool'; readonly name: string; readonly arguments: ReadonlyMap<string, unknown> }
  | { readonly kind: 'resource'; readonly name: string }
  | { readonly kind: 'prompt'; readonly name: string }
  /** Keeps or lists a session; `name` is the task it asks for, where there is one. */
  | { readonly kind: 'session'; readonly name: string | null }
  /** Not a method of MCP, or a notification sent as a request. */
  | { readonly kind: 'other'; readonly name: null; readonly method: string };

type Params = ReadonlyMap<string, unknown>;
type TargetReader = (params: Params) => McpTarget | Deny;

const session: TargetReader = () => ({ kind: 'session', name: null });
const resource: TargetReader = (params) => named('resource', params.get('uri'));
const prompt: TargetReader = (params) => named('prompt', params.get('name'));
const task: TargetReader = (params) => named('session', params.get('taskId'));

/**
 * All requests of clients in the revisions 2025-03-26 to 2026-07-28.
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

/** All notifications of clients in those revisions. */
const NOTIFICATIONS: ReadonlySet<string> = new Set([
  'notifications/initialized',
  'notifications/cancelled',
  'notifications/progress',
  'notifications/roots/list_changed',
  'notifications/tasks/status',
]);

/** Members of `params` that determine what a message is about. */
const DECIDING = ['name', 'arguments', 'uri', 'ref', 'taskId', '_meta'];

/**
 * What a message is about. Denies with `request.malformed` where the target is missing, not text or longer than 256 characters, and with
 * `request.not-canonical` where a lenient parser takes another parameter for a deciding one.
 *
 * An MCP request without an id is `request.malformed`, whatever the catalog says, because a server might act on it all the
 * same. A notification with an id, or an unknown one, counts as a method that MCP does not have.
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
  if (name.length > MAX_NAME_CHARS) return tooLong('tool');
  return sent === null ? malformed('the arguments must be an object') : { kind: 'tool', name, arguments: sent };
}

function completion(params: Params): McpTarget | Deny {
  const reference = objectMembers(params.get('ref'));
  const taken = lookalike(reference?.keys() ?? [], ['type', 'name', 'uri']);
  if (taken !== null) return deny('request.not-canonical', `a member of \`ref\` can be taken for \`${taken}\``);
  if (reference?.get('type') === 'ref/prompt') return named('prompt', reference.get('name'));
  if (reference?.get('type') === 'ref/resource') return named('resource', reference.get('uri'));
  return malformed('the completion must refer to a prompt or a resource');
}

/** Longest name of a tool, prompt or task and longest URI of a resource, in UTF-16 code units. */
const MAX_NAME_CHARS = 256;

function named(kind: 'resource' | 'prompt' | 'session', name: unknown): McpTarget | Deny {
  const what = kind === 'session' ? 'task' : kind;
  if (typeof name !== 'string') return malformed(`the ${what} has no name`);
  return name.length > MAX_NAME_CHARS ? tooLong(what) : { kind, name };
}

const tooLong = (what: string): Deny =>
  malformed(`the name of the ${what} is longer than ${MAX_NAME_CHARS} characters`);

const malformed = (detail: string): Deny => deny('request.malformed', detail);
