import { otherArgument, refusedArguments } from '../arguments/argument-refusal.ts';
import type { HttpCall } from '../http/call.ts';
import { carriedFrom } from '../http/carried.ts';
import type { Carried } from '../http/carried.ts';
import type { CatalogAction } from '../catalog/catalog.ts';
import { isAllNamed } from '../arguments/closed-arguments.ts';
import { placeInParams } from './a2a-methods.ts';
import { lookalike, objectMembers } from '../json-rpc.ts';
import { deny } from '../../decision/decision.ts';
import type { Deny } from '../../decision/decision.ts';

type Params = ReadonlyMap<string, unknown>;

/** A message to an agent. */
interface Sent {
  readonly method: string;
  readonly params: Params;
}

/** Members by which a call is decided, recorded or refused, by their place; decoders of protobuf JSON read `task_id` as `taskId`. */
const DECIDING: readonly (readonly [place: readonly string[], names: readonly string[]])[] = [
  [
    [],
    [
      'message',
      'id',
      'taskId',
      'contextId',
      'configuration',
      'metadata',
      'tenant',
      'pushNotificationConfig',
      'config',
      'url',
    ],
  ],
  [['message'], ['message', 'id', 'taskId', 'contextId', 'parts', 'metadata', 'extensions', 'referenceTaskIds']],
  [['configuration'], ['taskPushNotificationConfig', 'pushNotificationConfig']],
];

/** `request.not-canonical` for a member that is spelt like a deciding member; `null` if there is none. */
export function twoSpellings({ params }: Pick<Sent, 'params'>): Deny | null {
  for (const [place, names] of DECIDING) {
    const taken = lookalike(membersAt(params, place)?.keys() ?? [], names);
    if (taken !== null) return deny('request.not-canonical', `a parameter can be taken for \`${taken}\``);
  }
  return null;
}

/** Paths of the address for push notifications in a message, with its credentials, in versions 1 and 0.3. */
const PUSH_IN_MESSAGE = [
  ['configuration', 'taskPushNotificationConfig'],
  ['configuration', 'pushNotificationConfig'],
] as const;
const PUSH_IN_METHOD = [['url'], ['pushNotificationConfig'], ['taskPushNotificationConfig'], ['config']] as const;
const SETS_PUSH: ReadonlySet<string> = new Set([
  'CreateTaskPushNotificationConfig',
  'tasks/pushNotificationConfig/set',
]);

/**
 * Refuses what a server acts on and no policy sees, unless the catalog names it: the address of push notifications, which can send the
 * content of a task anywhere, and extensions if the action takes no other arguments.
 */
export function carrierProblem(call: HttpCall, entry: CatalogAction, { method, params }: Sent): Deny | null {
  const places = SETS_PUSH.has(method) ? [...PUSH_IN_MESSAGE, ...PUSH_IN_METHOD] : PUSH_IN_MESSAGE;
  const push = places.find((place) => isThere(params, place) && !namesUrl(entry, place));
  if (push !== undefined) return refusedArguments(entry, otherArgument(`/${push.join('/')}`));
  const hasExtensions = (call.headers.get('a2a-extensions') ?? []).some((value) => value.trim() !== '');
  return hasExtensions && !entry.takesOthers ? refusedArguments(entry, otherArgument('header a2a-extensions')) : null;
}

/** Members without content of their own, which nearly every message has: not recorded. */
const PLAIN: ReadonlySet<string> = new Set([
  'message',
  'configuration',
  'message/role',
  'message/messageId',
  'message/kind',
]);

/** The members of a call that no argument names, for its record. */
export function carriedByA2a(call: HttpCall, { args }: CatalogAction, { method, params }: Sent): Carried | undefined {
  const named = args.flatMap((spec) => (spec.from === 'body' ? [placeInParams(spec, method) ?? []] : []));
  const found = new Map<string, unknown>();
  for (const scope of [[], ['message'], ['configuration']]) {
    for (const [name, value] of membersAt(params, scope) ?? []) {
      const place = [...scope, name];
      if (!PLAIN.has(place.join('/')) && !isAllNamed(value, place, named)) found.set(place.join('/'), value);
    }
  }
  const extensions = call.headers.get('a2a-extensions');
  if (extensions !== undefined) found.set('a2a-extensions', extensions);
  return carriedFrom(found);
}

function membersAt(params: Params, place: readonly string[]): Params | null {
  let members: Params | null = params;
  for (const step of place) members = objectMembers(members?.get(step));
  return members;
}

function isThere(params: Params, place: readonly string[]): boolean {
  const value = membersAt(params, place.slice(0, -1))?.get(place.at(-1) ?? '');
  return value !== undefined && value !== null;
}

const namesUrl = ({ args }: CatalogAction, place: readonly string[]): boolean =>
  args.some(
    (spec) =>
      spec.from === 'body' && spec.pointer.at(-1) === 'url' && place.every((step, at) => spec.pointer[at] === step),
  );
