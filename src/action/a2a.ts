import { deny, isDeny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import type { HttpCall } from './call.ts';
import type { A2aAgent } from './catalog.ts';
import { actionOf } from './http.ts';
import type { Action } from './http.ts';
import { jsonArguments, protobufFolded } from './json-arguments.ts';
import { jsonRpcFrom, lookalike, objectMembers } from './json-rpc.ts';

type Params = ReadonlyMap<string, unknown>;

/** Where a method carries the ids of its task and conversation, as paths from `params`. */
interface Places {
  readonly taskId?: readonly string[];
  readonly contextId?: readonly string[];
}

const ofMessage: Places = { taskId: ['message', 'taskId'], contextId: ['message', 'contextId'] };
const byId: Places = { taskId: ['id'] };
const byTaskId: Places = { taskId: ['taskId'] };
const byContext: Places = { contextId: ['contextId'] };

/**
 * The methods about a task, by their names in version 1 and version 0.3.
 *
 * @see https://a2a-protocol.org/latest/specification/
 */
const PLACES: ReadonlyMap<string, Places> = new Map([
  ['SendMessage', ofMessage],
  ['SendStreamingMessage', ofMessage],
  ['GetTask', byId],
  ['CancelTask', byId],
  ['SubscribeToTask', byId],
  ['ListTasks', byContext],
  ['CreateTaskPushNotificationConfig', byTaskId],
  ['GetTaskPushNotificationConfig', byTaskId],
  ['ListTaskPushNotificationConfigs', byTaskId],
  ['DeleteTaskPushNotificationConfig', byTaskId],
  ['message/send', ofMessage],
  ['message/stream', ofMessage],
  ['tasks/get', byId],
  ['tasks/cancel', byId],
  ['tasks/resubscribe', byId],
  ['tasks/list', byContext],
  ['tasks/pushNotificationConfig/set', byTaskId],
  ['tasks/pushNotificationConfig/get', byId],
  ['tasks/pushNotificationConfig/list', byId],
  ['tasks/pushNotificationConfig/delete', byId],
]);

const DECIDING = ['message', 'id', 'taskId', 'contextId'];

/**
 * The action of a JSON-RPC call to an A2A agent. Methods are compared exactly, so a catalog names those of the version its
 * agent speaks; others are `action.unknown`. The arguments `taskId` and `contextId` are read from where the method has them,
 * all others at their pointers in `params`. Lookalikes of the ids, such as `task_id`, are `request.not-canonical`; lookalikes
 * of another argument `action.arguments`. Pure, never throws.
 */
export function a2aActionFrom(call: HttpCall, agent: A2aAgent): Action | Deny {
  const message = jsonRpcFrom(call);
  if (isDeny(message)) return message;
  if (message.kind === 'answer') return deny('action.unknown', 'a JSON-RPC answer cannot be sent to an agent');
  const { method, params, id } = message;
  const entry = agent.methods.get(method);
  if (entry === undefined) return deny('action.unknown', `the catalog does not name the method \`${method}\``);
  const taken =
    lookalike(params.keys(), DECIDING) ?? lookalike(objectMembers(params.get('message'))?.keys() ?? [], DECIDING);
  if (taken !== null) return deny('request.not-canonical', `a parameter can be taken for \`${taken}\``);
  const read = jsonArguments(entry.args, withIds(params, PLACES.get(method)), protobufFolded);
  if ('problem' in read) return deny('action.arguments', `arguments of \`${entry.id}\`: ${read.problem}`);
  return actionOf(entry, { args: read.args, isDecidedOnHeaders: false, jsonRpcId: id });
}

/** The parameters, with the method's ids as members of their argument names and nothing else under those names. */
function withIds(params: Params, places: Places | undefined): object {
  if (places === undefined) return Object.fromEntries(params);
  const { taskId, contextId } = places;
  const at = (way: readonly string[] | undefined): unknown => (way === undefined ? undefined : valueAt(params, way));
  return { ...Object.fromEntries(params), taskId: at(taskId), contextId: at(contextId) };
}

function valueAt(params: Params | null, [name = '', ...rest]: readonly string[]): unknown {
  const value = params?.get(name);
  return rest.length === 0 ? value : valueAt(objectMembers(value), rest);
}
