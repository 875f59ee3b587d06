import { deny, isDeny } from '../../decision/decision.ts';
import type { Deny } from '../../decision/decision.ts';
import { carriedByA2a, carrierProblem, twoSpellings } from './a2a-carriers.ts';
import { PLACES, placeInParams } from './a2a-methods.ts';
import type { IdPaths } from './a2a-methods.ts';
import { refusedArguments } from '../arguments/argument-refusal.ts';
import type { HttpCall } from '../http/call.ts';
import type { A2aAgent } from '../catalog/catalog.ts';
import { otherArgumentIn } from '../arguments/closed-arguments.ts';
import { actionOf } from '../http/http.ts';
import type { Action } from '../http/http.ts';
import { jsonArguments, protobufFolded } from '../arguments/json-arguments.ts';
import { jsonRpcFrom, objectMembers } from '../json-rpc.ts';

type Params = ReadonlyMap<string, unknown>;

/**
 * The action of a JSON-RPC call to an A2A agent. Methods are compared exactly, so a catalog names the methods of the version its agent
 * speaks; others are `action.unknown`. The arguments `taskId` and `contextId` are read at the method's own paths,
 * all others at their pointers in `params`. Lookalikes of the ids, such as `task_id`, are `request.not-canonical`; lookalikes
 * of another argument `action.arguments`. A query is refused: agents read their version and tenant from it. Pure, never throws.
 */
export function a2aActionFrom(call: HttpCall, agent: A2aAgent): Action | Deny {
  if (call.query !== '') return deny('request.unsupported', 'a call to an agent must not have a query');
  const message = jsonRpcFrom(call);
  if (isDeny(message)) return message;
  if (message.kind === 'answer') return deny('action.unknown', 'a JSON-RPC answer cannot be sent to an agent');
  const { method, params, id } = message;
  const entry = agent.methods.get(method);
  if (entry === undefined) return deny('action.unknown', `the catalog does not name the method \`${method}\``);
  const spelt = twoSpellings(message);
  if (spelt !== null) return spelt;
  const places = PLACES.get(method);
  const other = otherArgumentIn(entry, Object.fromEntries(params), (spec) => placeInParams(spec, method));
  if (other !== null) return refusedArguments(entry, other);
  const read = jsonArguments(entry.args, withIds(params, places), protobufFolded);
  if ('problem' in read) return refusedArguments(entry, read);
  const problem = carrierProblem(call, entry, message);
  if (problem !== null) return problem;
  const carried = carriedByA2a(call, entry, message);
  return actionOf(entry, { args: read.args, isDecidedOnHeaders: false, jsonRpcId: id, ...(carried && { carried }) });
}

/** The parameters, with the method's ids as members of their argument names and nothing else under those names. */
function withIds(params: Params, places: IdPaths | undefined): object {
  if (places === undefined) return Object.fromEntries(params);
  const { taskId, contextId } = places;
  const at = (way: readonly string[] | undefined): unknown => (way === undefined ? undefined : valueAt(params, way));
  return { ...Object.fromEntries(params), taskId: at(taskId), contextId: at(contextId) };
}

function valueAt(params: Params | null, [name = '', ...rest]: readonly string[]): unknown {
  const value = params?.get(name);
  return rest.length === 0 ? value : valueAt(objectMembers(value), rest);
}
