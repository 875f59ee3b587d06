import { deny, isDeny } from '../../decision/decision.ts';
import type { Deny } from '../../decision/decision.ts';
import type { JsonRpcMessage } from '../json-rpc.ts';
import { lookalike, objectMembers } from '../json-rpc.ts';

/** What an MCP message is about. */
export type McpTarget =
  | { readonly kind: 'tool'; readonly name: string; readonly arguments: ReadonlyMap<string, unknown> }
  /** `more`: further resources of the same message. */
  | {
      readonly kind: 'resource';
      readonly name: string;
      readonly more: readonly string[];
      readonly arguments: ReadonlyMap<string, unknown>;
    }
  | { readonly kind: 'prompt'; readonly name: string; readonly arguments: ReadonlyMap<string, unknown> }
  /** Keeps or lists a session. */
  | { readonly kind: 'session'; readonly name: null }
  /** Is about tasks that earlier calls became; `name` is the task it asks for, `null` if it may be any. */
  | { readonly kind: 'task'; readonly name: string | null }
  /** Not a method of MCP, or a notification sent as a request. */
  | { readonly kind: 'other'; readonly name: null; readonly method: string };

type Params = ReadonlyMap<string, unknown>;
type TargetReader = (params: Params) => McpTarget | Deny;

const session: TargetReader = () => ({ kind: 'session', name: null });
const resource: TargetReader = (params) => resourceFrom(params.get('uri'), NO_ARGUMENTS);
const prompt: TargetReader = (params) => {
  const sent = params.has('arguments') ? objectMembers(params.get('arguments')) : NO_ARGUMENTS;
  return sent === null ? malformed('the arguments must be an object') : promptFrom(params.get('name'), sent);
};
const task: TargetReader = (params) => {
  const name = nameFrom('task', params.get('taskId'));
  return isDeny(name) ? name : { kind: 'task', name };
};
const anyTask: TargetReader = () => ({ kind: 'task', name: null });

const NO_ARGUMENTS: ReadonlyMap<string, unknown> = new Map();

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
  ['subscriptions/listen', subscription],
  ['tasks/list', anyTask],
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
const DECIDING = ['name', 'arguments', 'uri', 'ref', 'taskId', '_meta', 'inputResponses', 'requestState'];

/**
 * What a message is about. Denies with `request.malformed` if the target is missing, not text or longer than 256 characters, and with
 * `request.not-canonical` if a lenient parser reads another parameter as a deciding parameter.
 *
 * An MCP request without an id is `request.malformed`, whatever the catalog says, because a server might act on it all the
 * same. A notification with an id, or an unknown notification, counts as a method that MCP does not have.
 */
export function mcpTargetFrom(message: JsonRpcMessage): McpTarget | Deny {
  if (message.kind === 'answer') return session(NO_ARGUMENTS);
  const taken = lookalike(message.params.keys(), DECIDING);
  if (taken !== null) return deny('request.not-canonical', `a parameter can be taken for \`${taken}\``);
  const { id, method, params } = message;
  if (id === null && NOTIFICATIONS.has(method)) return session(NO_ARGUMENTS);
  const reader = REQUESTS.get(method);
  if (reader === undefined) return { kind: 'other', name: null, method };
  return id === null
    ? malformed(`the method \`${method}\` of MCP is a request, which must have an id`)
    : reader(params);
}

function tool(params: Params): McpTarget | Deny {
  const name = nameFrom('tool', params.get('name'));
  if (isDeny(name)) return name;
  const sent = params.has('arguments') ? objectMembers(params.get('arguments')) : NO_ARGUMENTS;
  return sent === null ? malformed('the arguments must be an object') : { kind: 'tool', name, arguments: sent };
}

/** A completion is of one argument; the others that are known come in its context. They are arguments of the prompt or template. */
function completion(params: Params): McpTarget | Deny {
  const reference = objectMembers(params.get('ref'));
  const taken = lookalike(reference?.keys() ?? [], ['type', 'name', 'uri']);
  if (taken !== null) return deny('request.not-canonical', `a member of \`ref\` can be taken for \`${taken}\``);
  const sent = completed(params);
  if (isDeny(sent)) return sent;
  if (reference?.get('type') === 'ref/prompt') return promptFrom(reference.get('name'), sent);
  if (reference?.get('type') === 'ref/resource') return resourceFrom(reference.get('uri'), sent);
  return malformed('the completion must refer to a prompt or a resource');
}

function completed(params: Params): ReadonlyMap<string, unknown> | Deny {
  const argument = objectMembers(params.get('argument'));
  const name = argument?.get('name');
  if (typeof name !== 'string') return malformed('the completion must be of an argument');
  const context = objectMembers(params.get('context'))?.get('arguments');
  const known = context === undefined ? NO_ARGUMENTS : objectMembers(context);
  if (known === null) return malformed('the arguments must be an object');
  if (known.has(name)) return malformed('the argument to complete is known already');
  return new Map([...known, [name, argument?.get('value')]]);
}

/** Resources that are listened to are read; tasks are those that earlier calls became. */
function subscription(params: Params): McpTarget | Deny {
  const notifications = objectMembers(params.get('notifications'));
  const [first, ...more] = textsIn(notifications?.get('resourceSubscriptions'));
  const isOfTasks = textsIn(notifications?.get('taskIds')).length > 0;
  if (first === undefined) return isOfTasks ? anyTask(params) : session(params);
  if (isOfTasks) return deny('request.unsupported', 'a subscription is to resources or to tasks');
  const long = more.map((uri) => nameFrom('resource', uri)).find(isDeny);
  return long ?? resourceFrom(first, NO_ARGUMENTS, more);
}

const textsIn = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];

function resourceFrom(
  name: unknown,
  sent: ReadonlyMap<string, unknown>,
  more: readonly string[] = [],
): McpTarget | Deny {
  const checked = nameFrom('resource', name);
  return isDeny(checked) ? checked : { kind: 'resource', name: checked, more, arguments: sent };
}

function promptFrom(name: unknown, sent: ReadonlyMap<string, unknown>): McpTarget | Deny {
  const checked = nameFrom('prompt', name);
  return isDeny(checked) ? checked : { kind: 'prompt', name: checked, arguments: sent };
}

/** Longest name of a tool, prompt or task and longest URI of a resource, in UTF-16 code units. */
const MAX_NAME_CHARS = 256;

function nameFrom(what: string, name: unknown): string | Deny {
  if (typeof name !== 'string') return malformed(`the ${what} has no name`);
  return name.length > MAX_NAME_CHARS
    ? malformed(`the name of the ${what} is longer than ${MAX_NAME_CHARS} characters`)
    : name;
}

const malformed = (detail: string): Deny => deny('request.malformed', detail);
