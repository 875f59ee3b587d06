import { isDeny, deny } from '../../decision/decision.ts';
import type { Deny } from '../../decision/decision.ts';
import { isProblem } from '../../runtime/problem.ts';
import { areTooLong } from '../arguments/argument.ts';
import type { ArgumentValue } from '../arguments/argument.ts';
import { otherArgument, refusedArguments, TOO_LONG } from '../arguments/argument-refusal.ts';
import type { ArgumentRefusal } from '../arguments/argument-refusal.ts';
import type { HttpCall } from '../http/call.ts';
import { carriedFrom } from '../http/carried.ts';
import type { CatalogAction, McpServer } from '../catalog/catalog.ts';
import { isAllNamed, otherArgumentIn } from '../arguments/closed-arguments.ts';
import { actionOf } from '../http/http.ts';
import type { Action } from '../http/http.ts';
import { jsonArguments } from '../arguments/json-arguments.ts';
import { objectMembers } from '../json-rpc.ts';
import type { JsonRpcMessage } from '../json-rpc.ts';
import type { FollowUp } from './mcp-follow-up.ts';
import { headerOf } from './mcp-headers.ts';
import { inputValues, metaValues } from './mcp-inputs.ts';
import { isActedOn, otherInitialization, otherMetaFrom } from './mcp-meta.ts';
import { mcpParamProblem } from './mcp-param-headers.ts';
import type { McpTarget } from './mcp-target.ts';
import { MAX_READINGS, readingsOf, withValues } from '../arguments/readings.ts';
import type { FurtherValues } from '../arguments/readings.ts';
import { cutText } from '../secrets/static-secret.ts';

const MAX_SHOWN = 200;

type Call = Extract<JsonRpcMessage, { readonly kind: 'call' }>;

/** A request or notification with what it is about and its entry in the catalog. */
interface Attempted {
  readonly message: Call;
  readonly target: McpTarget;
  readonly entry: CatalogAction;
}

/**
 * The action of a message whose entry is known and whose parameters the specification defines: its arguments, the answers and
 * the keys of `_meta` that the catalog names, and what it carries besides, for the record. Pure.
 */
export function mcpCallFrom(call: HttpCall, attempted: Attempted, mcp: McpServer): Action | Deny | FollowUp {
  const { message, target, entry } = attempted;
  const beside = besideArguments(attempted, mcp);
  if (isDeny(beside)) return beside;
  const { values, carried: noted } = beside;
  const session = headerOf(call.headers, 'mcp-session-id');
  const carried = carriedFrom(noted);
  const said = { method: cut(message.method), tool: target.kind === 'tool' ? cut(target.name) : null };
  if (target.kind === 'task') {
    const responses = objectMembers(message.params.get('inputResponses'));
    const sent = { kind: 'task', responses } as const;
    const mismatch = mcpParamProblem(call.headers, null);
    if (mismatch !== null) return mismatch;
    return { kind: 'follow-up', mcp, session, sent, jsonRpcId: message.id, method: said.method, carried };
  }
  const read = argumentsOf(call, attempted);
  if (isDeny(read)) return read;
  const readings = readingsOf(read, withResources(values, target));
  if (readings === null) return refusedArguments(entry, { problem: `the call has more than ${MAX_READINGS} readings` });
  if (readings.some(areTooLong)) return refusedArguments(entry, TOO_LONG);
  const asks = mcp.asking.has(entry.id) ? { session } : undefined;
  const [first, ...further] = readings.map((args) =>
    actionOf(entry, {
      args,
      isDecidedOnHeaders: false,
      jsonRpcId: message.id,
      mcp: said,
      ...(carried && { carried }),
      ...(asks && { asks }),
    }),
  );
  if (first === undefined) return deny('internal', 'a call has no reading');
  return further.length === 0 ? first : { ...first, further };
}

/** The declared arguments of a call. Denies a call with arguments that the entry does not take. */
function argumentsOf({ headers }: HttpCall, { target, entry }: Attempted): ReadonlyMap<string, ArgumentValue> | Deny {
  const root = rootOf(target);
  const isJudged = target.kind === 'tool' || target.kind === 'prompt' || target.kind === 'resource';
  const other = isJudged ? otherArgumentIn(entry, root) : null;
  if (other !== null) return refusedArguments(entry, other);
  const meta = target.kind === 'tool' && target.arguments.has('_meta') ? metaAmongArguments(entry) : null;
  if (meta !== null) return refusedArguments(entry, meta);
  const read = jsonArguments(entry.args, root);
  if ('problem' in read) return refusedArguments(entry, read);
  const called = target.kind === 'tool' ? { sent: target.arguments, args: read.args, specs: entry.args } : null;
  return mcpParamProblem(headers, called) ?? read.args;
}

/** Some frameworks read their own settings from a `_meta` among the arguments, so it passes only if the catalog names it. */
const metaAmongArguments = ({ args }: CatalogAction): ArgumentRefusal | null =>
  args.some((spec) => spec.from === 'body' && spec.pointer[0] === '_meta') ? null : otherArgument('/arguments/_meta');

/** The JSON that arguments are read from. */
function rootOf(target: McpTarget): object {
  switch (target.kind) {
    case 'tool':
      return Object.fromEntries(target.arguments);
    case 'resource':
      return { uri: target.name, ...argumentsIn(target.arguments) };
    case 'prompt':
      return { name: target.name, ...argumentsIn(target.arguments) };
    case 'session':
    case 'task':
    case 'other':
      return {};
    default:
      return target satisfies never;
  }
}

const argumentsIn = (sent: ReadonlyMap<string, unknown>): object =>
  sent.size === 0 ? {} : { arguments: Object.fromEntries(sent) };

/** Further resources of one message: each is a further value of `uri`. */
const withResources = (values: FurtherValues, target: McpTarget): FurtherValues =>
  target.kind === 'resource' && target.more.length > 0 ? new Map([...values, ['uri', target.more]]) : values;

interface Beside {
  /** Values of arguments in answers and in `_meta`. */
  readonly values: FurtherValues;
  /** What the record names, by place. */
  readonly carried: ReadonlyMap<string, unknown>;
}

/** What a message carries beside its arguments. */
function besideArguments({ message, target, entry }: Attempted, mcp: McpServer): Beside | Deny {
  const { params } = message;
  const { carries } = entry;
  const meta = otherMetaFrom(params.get('_meta'));
  if (isProblem(meta)) return deny('request.malformed', meta.problem);
  const said = message.method === 'initialize' ? otherInitialization(params) : NOTHING_SAID;
  if (isProblem(said)) return deny('request.malformed', said.problem);
  const declared = new Set([...mcp.meta, ...carries.meta.map(({ key }) => key)]);
  const other = [...meta.keys()].find((key) => !declared.has(key) && (entry.isClosed || isActedOn(key)));
  if (other !== undefined) return refusedArguments(entry, otherArgument(`/_meta/${other}`));
  if (params.has('task') && !carries.hasTasks) return refusedArguments(entry, otherArgument('/task'));
  if (params.has('requestState') && !carries.isStateSealed)
    return refusedArguments(entry, otherArgument('/requestState'));
  const inMeta = metaValues(params.get('_meta'), carries.meta);
  if ('problem' in inMeta) return refusedArguments(entry, inMeta);
  const responses = target.kind === 'task' ? null : objectMembers(params.get('inputResponses'));
  const inAnswers = responses === null ? NO_VALUES : inputValues(responses, carries);
  if ('problem' in inAnswers) return refusedArguments(entry, inAnswers);
  return {
    values: withValues(inMeta.values, inAnswers.values),
    carried: new Map([...carriedBy({ message, target, entry }, meta), ...said]),
  };
}

const NOTHING_SAID: ReadonlyMap<string, unknown> = new Map();
const NO_VALUES: { readonly values: FurtherValues } = { values: new Map() };

/** Members of `params` that are arguments, or repeat what the action says. */
const PLAIN = new Set(['_meta', 'name', 'uri', 'cursor', 'level', 'protocolVersion', 'capabilities', 'clientInfo']);

/**
 * What the record names: answers by their keys, other keys of `_meta`, arguments of a tool that the catalog does not name, and every member
 * of `params` that no policy reads.
 */
function carriedBy(
  { message: { params }, target, entry }: Attempted,
  meta: ReadonlyMap<string, unknown>,
): ReadonlyMap<string, unknown> {
  const carried = new Map<string, unknown>();
  for (const [member, value] of params) {
    if (PLAIN.has(member)) continue;
    if (member === 'arguments' && target.kind === 'tool') {
      const pointers = entry.args.flatMap((spec) => (spec.from === 'body' ? [spec.pointer] : []));
      for (const [key, of] of target.arguments)
        if (!isAllNamed(of, [key], pointers)) carried.set(`arguments/${key}`, of);
      continue;
    }
    const keys = member === 'inputResponses' || member === 'arguments' ? objectMembers(value) : null;
    if (keys === null) carried.set(member, value);
    else for (const [key, of] of keys) carried.set(`${member}/${key}`, of);
  }
  for (const [key, value] of meta) carried.set(`_meta/${key}`, value);
  return carried;
}

const cut = (text: string): string => cutText(text, MAX_SHOWN);
