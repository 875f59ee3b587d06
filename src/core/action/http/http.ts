import { isDeny } from '../../decision/decision.ts';
import type { Deny } from '../../decision/decision.ts';
import { isProblem } from '../../runtime/problem.ts';
import { argumentFromText } from '../arguments/argument.ts';
import type { ArgumentValue, Unfit } from '../arguments/argument.ts';
import { missingArgument, refusedArguments, unfitArgument } from '../arguments/argument-refusal.ts';
import { type BodyRefusal, hasBody, unreadBodyProblem } from './body.ts';
import type { HttpCall } from './call.ts';
import type { Carried } from './carried.ts';
import { carriedByHttp } from './http-carriers.ts';
import type { ActionKind, CatalogAction, CredentialKind, Risk, Server } from '../catalog/catalog.ts';
import { otherArgumentIn } from '../arguments/closed-arguments.ts';
import { exactJsonFrom, jsonArguments } from '../arguments/json-arguments.ts';
import type { ParameterType } from '../catalog/parameter-type.ts';
import type { PriorCalls } from '../mcp/prior-calls.ts';
import { looseKey } from './query-key.ts';
import { queryValues } from './query.ts';
import type { QueryNames } from './query.ts';
import type { StaticSecretException } from '../secrets/static-secret-exception.ts';

export type { ArgumentValue } from '../arguments/argument.ts';

/** What a call attempts: an action of the catalog with its arguments. */
export interface Action {
  readonly id: string;
  readonly kind: ActionKind;
  readonly risk: Risk;
  readonly server: Server;
  /** Its path in the catalog, such as `/v1/payments/{id}` or `/mcp`. */
  readonly template: string;
  /** `GET /v1/payments/{id}`, `/mcp tools/create_ticket` */
  readonly endpoint: string;
  /** Whether it only opens, keeps or lists a session, which any task at the server may do. */
  readonly isSession: boolean;
  /** Whether the message was not read, so that a stream need not be held back. */
  readonly isDecidedOnHeaders: boolean;
  /** Accepted credentials. */
  readonly accepts: ReadonlySet<CredentialKind>;
  /** Labels, in the operator's words. */
  readonly labels: ReadonlySet<string>;
  /** Long-lived credentials that may pass. */
  readonly staticSecrets: readonly StaticSecretException[];
  /** By name: exactly the declared arguments, of the declared type; optional arguments only if sent. */
  readonly args: ReadonlyMap<string, ArgumentValue>;
  /** The arguments whose values are recorded, by name, with the names on the path to each; absent if there are none. */
  readonly recorded?: ReadonlyMap<string, readonly string[]>;
  /** `id` of the JSON-RPC request; `null` if there is none. */
  readonly jsonRpcId: string | number | null;
  /** Method of the MCP message and the called tool; absent for other calls. */
  readonly mcp?: { readonly method: string; readonly tool: string | null };
  /** What it carries beside its arguments; absent if there is nothing. */
  readonly carried?: Carried;
  /** The headers that reach the upstream and that no rule reads; absent if there are none. */
  readonly otherHeaders?: Carried;
  /** Other readings of the same call, each of which must be permitted too; absent if there are none. */
  readonly further?: readonly Action[];
  /** Names of arguments that only a later answer can bring, and this call does not have; absent if there are none. */
  readonly unanswered?: readonly string[];
  /** Whether the server may ask back about it, or keep it as a task, in the named session; absent otherwise. */
  readonly asks?: { readonly session: string | null };
  /** The earlier calls that the message may continue; absent for a new call. */
  readonly continues?: Continued;
}

/** What a message continues, if it answers a question of the server or is about a task. */
export interface Continued {
  readonly calls: PriorCalls;
  /** The arguments that it brings: it takes their amounts from a budget, and nothing else. */
  readonly answered: ReadonlySet<string>;
  /** The session of the message, and the request of the server that it answers; `null` if it has none. */
  readonly message: { readonly session: string | null; readonly answer: string | number | null };
}

/** All readings of a call: itself, and those beside it. */
export const allReadings = (action: Action): readonly Action[] =>
  action.further === undefined ? [action] : [action, ...action.further];

/** Combines a catalog entry with the arguments of a call. */
export function actionOf(
  entry: CatalogAction,
  call: {
    readonly args: Action['args'];
    readonly isDecidedOnHeaders: boolean;
    readonly jsonRpcId?: Action['jsonRpcId'];
  } & Pick<Action, 'mcp' | 'carried' | 'asks' | 'continues'>,
): Action {
  const { id, kind, risk, server, template, endpoint, isSession, accepts, labels, staticSecrets, recorded } = entry;
  const { args, isDecidedOnHeaders, jsonRpcId = null, mcp, carried, asks, continues } = call;
  const unanswered = entry.args.flatMap(({ name, from }) => (from === 'input' && !args.has(name) ? [name] : []));
  return {
    id,
    kind,
    risk,
    server,
    template,
    endpoint,
    isSession,
    isDecidedOnHeaders,
    accepts,
    labels,
    staticSecrets,
    args,
    jsonRpcId,
    ...(recorded.size === 0 ? {} : { recorded }),
    ...(mcp === undefined ? {} : { mcp }),
    ...(carried === undefined ? {} : { carried }),
    ...(unanswered.length === 0 ? {} : { unanswered }),
    ...(asks === undefined ? {} : { asks }),
    ...(continues === undefined ? {} : { continues }),
  };
}

/**
 * The action of a call to an HTTP route. Denies with `action.arguments` if an argument is missing, of another type, longer than its
 * `maxBytes`, not well-formed Unicode, contains U+0000 or is ambiguous, if the entry does not accept an argument, or if the body breaks the
 * entry's `BodyRule`. With `json` the body is parsed: it must be `application/json` without content encoding, and the proxy must have sent
 * it. Pure, never throws.
 */
export function httpActionFrom(call: HttpCall, entry: CatalogAction): Action | Deny {
  const text = textArguments(entry, call.segments.length === 0 ? [''] : call.segments, call.query);
  if (isDeny(text)) return text;
  const problem = unreadBodyProblem(entry.body, call);
  if (problem !== null) return refusedArguments(entry, problem);
  const isDecidedOnHeaders = entry.body !== 'json';
  const body = isDecidedOnHeaders ? NOT_READ : bodyArguments(entry, call);
  if (isDeny(body)) return body;
  const carried = carriedByHttp(call, entry, body.json);
  const args = body.args.size === 0 ? text : new Map([...text, ...body.args]);
  return actionOf(entry, { args, isDecidedOnHeaders, ...(carried && { carried }) });
}

interface ReadBody {
  readonly args: ReadonlyMap<string, ArgumentValue>;
  /** `null` if it was not parsed. */
  readonly json: object | null;
}

const NOT_READ: ReadBody = { args: new Map(), json: null };

const NO_VALUES: ReadonlyMap<string, string> = new Map();

function queryNames({ args, takesOthers }: CatalogAction): QueryNames {
  const wanted = new Set(args.flatMap((spec) => (spec.from === 'query' ? [spec.name] : [])));
  const elsewhere = args.flatMap((spec) =>
    spec.from === 'path' ? [spec.name] : spec.from === 'body' ? spec.pointer.slice(0, 1) : [],
  );
  return { wanted, elsewhere: elsewhere.filter((name) => !wanted.has(name)), takesOthers };
}

function textArguments(
  entry: CatalogAction,
  segments: readonly string[],
  query: string,
): ReadonlyMap<string, ArgumentValue> | Deny {
  const values = query === '' ? NO_VALUES : queryValues(query, queryNames(entry));
  if ('problem' in values) return refusedArguments(entry, values);
  const args = new Map<string, ArgumentValue>();
  for (const spec of entry.args) {
    if (spec.from !== 'path' && spec.from !== 'query') continue;
    const parameter = spec.from === 'path' ? entry.parameters.get(spec.name) : undefined;
    const text = parameter === undefined ? values.get(spec.name) : segments[parameter.index];
    if (text === undefined) {
      if (spec.required) return refusedArguments(entry, missingArgument(spec));
      continue;
    }
    const value = argumentFromText(spec, text);
    if (isProblem(value)) return refusedArguments(entry, unfitArgument(spec, value));
    if (parameter?.type.accepts(text) === false)
      return refusedArguments(entry, unfitArgument(spec, mismatchOf(parameter.type)));
    args.set(spec.name, value);
  }
  return args;
}

function mismatchOf({ text }: ParameterType): Unfit {
  if (text !== '') return { problem: `must be of the type \`${text}\``, expected: `of the type \`${text}\`` };
  const expected = 'at most 128 letters, digits, `-` and `_`';
  return { problem: `must be ${expected}: a type in its path, such as \`text\`, accepts more`, expected };
}

function bodyArguments(entry: CatalogAction, call: HttpCall): ReadBody | Deny {
  if (!entry.args.some(({ from }) => from === 'body') && !hasBody(call)) return NOT_READ;
  const problem = bodyProblem(call);
  if (problem !== null) return refusedArguments(entry, problem);
  if (call.body === null) return refusedArguments(entry, { problem: 'the body was not sent to the check' });
  const json = exactJsonFrom(call.body);
  if ('problem' in json) return refusedArguments(entry, { problem: `the body ${json.problem}` });
  if (typeof json.value !== 'object' || json.value === null || Array.isArray(json.value))
    return refusedArguments(entry, { problem: 'the body must be a JSON object' });
  const taken = takenForQuery(entry, Object.keys(json.value));
  if (taken !== null)
    return refusedArguments(entry, {
      problem: `\`${taken}\` comes from the query, and a member of the body can be taken for it`,
    });
  const other = otherArgumentIn(entry, json.value);
  if (other !== null) return refusedArguments(entry, other);
  const read = jsonArguments(entry.args, json.value);
  return 'problem' in read ? refusedArguments(entry, read) : { args: read.args, json: json.value };
}

/** A query argument that some upstreams would take from a body member; members that are arguments themselves do not count. */
function takenForQuery({ args }: CatalogAction, members: readonly string[]): string | null {
  const inQuery = new Map(
    args.flatMap(({ name, from }) => (from === 'query' ? [[looseKey(name), name] as const] : [])),
  );
  if (inQuery.size === 0) return null;
  const read = new Set(args.flatMap((spec) => (spec.from === 'body' ? spec.pointer.slice(0, 1) : [])));
  const taken = members.find((member) => !read.has(member) && inQuery.has(looseKey(member)));
  return taken === undefined ? null : (inQuery.get(looseKey(taken)) ?? null);
}

/** UTF-8 only, as RFC 8259 requires; another `charset` would be another reading. */
const JSON_TYPE = /^application\/json(?:[ \t]*;[ \t]*charset="?utf-8"?)?$/i;

function bodyProblem({ headers }: HttpCall): BodyRefusal | null {
  const [type = '', ...others] = headers.get('content-type') ?? [];
  if (others.length > 0 || !JSON_TYPE.test(type)) {
    const problem = 'the content type is not `application/json`';
    return { problem, argument: { name: 'content-type', expected: '`application/json`' } };
  }
  const encodings = headers.get('content-encoding') ?? [];
  if (encodings.every((encoding) => encoding === 'identity')) return null;
  return { problem: 'the body is encoded', argument: { name: 'content-encoding', expected: '`identity`' } };
}
