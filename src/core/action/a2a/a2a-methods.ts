import type { BodyArgument } from '../catalog/catalog-arguments.ts';

/** Where a method has the ids of its task and context, as paths from `params`. */
export interface IdPaths {
  readonly taskId?: readonly string[];
  readonly contextId?: readonly string[];
}

const ofMessage: IdPaths = { taskId: ['message', 'taskId'], contextId: ['message', 'contextId'] };
const byId: IdPaths = { taskId: ['id'] };
const byTaskId: IdPaths = { taskId: ['taskId'] };
const byContext: IdPaths = { contextId: ['contextId'] };

/**
 * The methods about a task, by their names in version 1 and version 0.3.
 *
 * @see https://a2a-protocol.org/latest/specification/
 */
export const PLACES: ReadonlyMap<string, IdPaths> = new Map([
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

/** The methods that send a message to an agent, with or without a stream of answers: `send` of the catalog. */
export const SEND_METHODS: readonly string[] = [...PLACES].flatMap(([method, places]) =>
  places === ofMessage ? [method] : [],
);

/** The place of an argument in the `params` of a method: an id at its place in the method. `null` for an id that the method does not have. */
export function placeInParams({ pointer }: Pick<BodyArgument, 'pointer'>, method: string): readonly string[] | null {
  const places = PLACES.get(method);
  const [first, ...rest] = pointer;
  const isId = rest.length === 0 && (first === 'taskId' || first === 'contextId');
  return places === undefined || !isId ? pointer : (places[first] ?? null);
}
