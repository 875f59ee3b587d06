import { placeInParams, SEND_METHODS } from '../../../core/action/a2a/a2a-methods.ts';
import type { Catalog, CatalogAction, Server } from '../../../core/action/catalog/catalog.ts';
import type { ArgumentSpec, CarriedArgument } from '../../../core/action/catalog/catalog-arguments.ts';
import type { FieldDescriptor } from '../../../core/action/grpc/protobuf/descriptor-set.ts';
import { indexOf } from '../../../core/action/arguments/json-pointer.ts';
import { messageFromJson } from '../../../core/action/grpc/protobuf/message-json.ts';
import { mcpRoundOf } from './mcp-round.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import type { Attempt, WrittenCall } from './test-case.ts';

/** An attempt that is a call, in any form. */
export type CallAttempt = Exclude<Attempt, { readonly kind: 'issue' }>;

type Of<Kind extends Attempt['kind']> = Extract<Attempt, { readonly kind: Kind }>;

const JSON_BODY = [['content-type', 'application/json']] as const;
const GRPC_BODY = [
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
] as const;

/** The HTTP request of an attempt, to its server's first host. A problem if the catalog has no such server. */
export function writtenCallOf(attempt: CallAttempt, catalog: Catalog): WrittenCall | Problem {
  switch (attempt.kind) {
    case 'call':
      return attempt;
    case 'mcp':
      return jsonRpcCall(attempt, catalog);
    case 'a2a':
      return jsonRpcCall(attempt, catalog);
    case 'grpc':
      return grpcCall(attempt, catalog);
    case 'action':
      return actionCall(attempt, catalog);
    default:
      return attempt satisfies never;
  }
}

/**
 * The named server; else the server with such an entry; else the only server with that protocol, so that an unknown tool can be
 * attempted.
 */
function endpointOf(
  {
    kind,
    server,
    method,
  }: { readonly kind: CatalogAction['kind']; readonly server: string | null; readonly method: string },
  catalog: Catalog,
): CatalogAction | Problem {
  const entries = [...catalog.actions.values()].filter(
    (action) => action.kind === kind && (server === null || action.server.id === server),
  );
  const names = [method, ...(kind === 'a2a' && SEND_METHODS.includes(method) ? ['send'] : [])];
  const separator = kind === 'grpc' ? '/' : ' ';
  const named = entries.filter(({ endpoint }) => names.some((name) => endpoint.endsWith(`${separator}${name}`)));
  const candidates = named.length > 0 ? named : entries;
  const [first] = candidates;
  if (first === undefined) return { problem: `no server of the catalog${withId(server)} has \`${kind}\`` };
  return new Set(candidates.map((action) => action.server)).size > 1
    ? { problem: `several servers of the catalog match: name one in \`server\`` }
    : first;
}

const withId = (server: string | null): string => (server === null ? '' : ` with the id \`${server}\``);

function jsonRpcCall(attempt: Of<'mcp'> | Of<'a2a'>, catalog: Catalog): WrittenCall | Problem {
  const { kind, server, method, params } = attempt;
  const tool = kind === 'mcp' && method === 'tools/call' && 'name' in params ? `tools/${String(params.name)}` : method;
  const entry = endpointOf({ kind, server, method: tool }, catalog);
  if (isProblem(entry)) return entry;
  return 'inputResponses' in params ? nextRound(entry, method, params) : jsonRpcTo(entry, method, params);
}

/** A call that answers questions of the server. */
function nextRound(entry: CatalogAction, method: string, params: object): WrittenCall {
  const round = mcpRoundOf(entry, method, params);
  const call = jsonRpcTo(entry, method, round.params);
  return { ...call, headers: [...call.headers, ...round.headers] };
}

const jsonRpcTo = (entry: CatalogAction, method: string, params: object): WrittenCall => ({
  method: 'POST',
  url: urlOf(entry.server, entry.template),
  headers: JSON_BODY,
  body: Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })),
});

function grpcCall({ server, method, message }: Of<'grpc'>, catalog: Catalog): WrittenCall | Problem {
  const entry = endpointOf({ kind: 'grpc', server, method }, catalog);
  if (isProblem(entry)) return entry;
  const bytes = 'json' in message ? messageOf(entry, { method, json: message.json }) : message;
  if (isProblem(bytes)) return bytes;
  return { method: 'POST', url: urlOf(entry.server, `/${method}`), headers: GRPC_BODY, body: framed(bytes) };
}

/** The message of a method, which must be in the catalog to be described. */
function messageOf(
  { template, input, server }: CatalogAction,
  { method, json }: { readonly method: string; readonly json: unknown },
): Uint8Array | Problem {
  if (template !== `/${method}`) return { problem: `the catalog has no method \`${method}\` to encode a message for` };
  if (input === null)
    return { problem: `a message in JSON needs the \`descriptorSet\` of \`${server.id}\`: name it, or give base64` };
  const bytes = messageFromJson(input, json);
  return isProblem(bytes) ? { problem: `the message of \`${method}\` ${bytes.problem}` } : bytes;
}

/** One uncompressed message. @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
function framed(message: Uint8Array): Uint8Array {
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  return frame;
}

const urlOf = ({ hosts }: Server, path: string): string => `https://${hosts.values().next().value ?? ''}${path}`;

function actionCall({ action: id, args }: Of<'action'>, catalog: Catalog): WrittenCall | Problem {
  const action = catalog.actions.get(id);
  if (action === undefined) return { problem: `the catalog has no action \`${id}\`` };
  const unknown = Object.keys(args).find((name) => !action.args.some((spec) => spec.name === name));
  if (unknown !== undefined) return { problem: `the action \`${id}\` has no argument \`${unknown}\`` };
  const given = new Map(Object.entries(args));
  const values = action.args.flatMap((spec): readonly Given[] => {
    const value = given.get(spec.name) ?? (spec.required ? plainValue(action, spec) : undefined);
    return value === undefined ? [] : [{ spec, value }];
  });
  const builders = { http: httpTo, mcp: mcpTo, a2a: a2aTo, grpc: grpcTo };
  return builders[action.kind](action, values);
}

/** A text path parameter gets a sample of its type. */
const plainValue = ({ parameters }: CatalogAction, { name, from, type }: ArgumentSpec): unknown =>
  from === 'path' && type === 'string' ? parameters.get(name)?.type.sample : PLAIN[type];

interface Given {
  readonly spec: ArgumentSpec;
  readonly value: unknown;
}

/** Default values of required arguments. */
const PLAIN: Readonly<Record<ArgumentSpec['type'], unknown>> = {
  string: 'x',
  long: 0,
  bool: false,
  decimal: 0,
  strings: [],
};

function httpTo(action: CatalogAction, given: readonly Given[]): WrittenCall {
  const text = (from: 'path' | 'query') =>
    given.flatMap(({ spec, value }) =>
      spec.from === from ? [[spec.name, encodeURIComponent(String(value))] as const] : [],
    );
  const path = text('path').reduce(
    (template, [name, value]) => template.replace(`{${name}}`, () => value),
    action.template,
  );
  const query = text('query').map(([name, value]) => `${encodeURIComponent(name)}=${value}`);
  const url = `${urlOf(action.server, path)}${query.length === 0 ? '' : `?${query.join('&')}`}`;
  const hasBody = action.args.some((spec) => spec.from === 'body');
  return {
    method: action.method,
    url,
    headers: hasBody ? JSON_BODY : [],
    body: hasBody ? Buffer.from(JSON.stringify(bodyOf(given))) : null,
  };
}

const bodyOf = (given: readonly Given[]): Readonly<Record<string, unknown>> => objectFrom(given, pointerInBody);

const pointerInBody = (spec: ArgumentSpec): readonly string[] | null => (spec.from === 'body' ? spec.pointer : null);

/** An object with each value at its path; values without a path are left out. A step that is an index makes an array. */
function objectFrom(
  given: readonly Given[],
  wayOf: (spec: ArgumentSpec) => readonly string[] | null,
): Readonly<Record<string, unknown>> {
  const root: Record<string, unknown> = Object.create(null);
  for (const { spec, value } of given) {
    const way = wayOf(spec) ?? [];
    let at: Record<string, unknown> = root;
    for (const [index, step] of way.entries()) {
      if (Array.isArray(at) && indexOf(step) === null) break;
      const next = way[index + 1];
      const inner = at[step];
      if (next === undefined) at[step] = value;
      else if (!isContainer(inner))
        at[step] = (indexOf(next) ?? MAX_ELEMENTS) < MAX_ELEMENTS ? [] : Object.create(null);
      at = isContainer(at[step]) ? at[step] : at;
    }
  }
  return root;
}

/** Longest array of a written call: all its elements are written. */
const MAX_ELEMENTS = 256;

const isContainer = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

function mcpTo(action: CatalogAction, given: readonly Given[]): WrittenCall | Problem {
  const name = action.endpoint.slice(action.template.length + 1);
  const value = (of: string): unknown => given.find(({ spec }) => spec.name === of)?.value ?? 'x';
  if (action.isSession) return jsonRpcTo(action, 'ping', {});
  if (name.startsWith('tools/')) {
    return toolCall(action, { name: name.slice('tools/'.length), arguments: bodyOf(given) }, given);
  }
  const { arguments: sent } = { arguments: undefined, ...bodyOf(given) };
  const more = sent === undefined ? {} : { arguments: sent };
  const params = { resources: { uri: value('uri') }, prompts: { name: value('name'), ...more } };
  if (name === 'roots') return answerTo(action, { roots: rootsOf(given) });
  if (name === 'resources') return jsonRpcTo(action, 'resources/read', params.resources);
  return name === 'prompts' ? jsonRpcTo(action, 'prompts/get', params.prompts) : jsonRpcTo(action, 'x-other', {});
}

/** An answer of a client, posted in its session. */
const answerTo = (action: CatalogAction, result: object): WrittenCall => ({
  ...jsonRpcTo(action, '', {}),
  headers: [...JSON_BODY, ['mcp-protocol-version', '2025-11-25'], ['mcp-session-id', 'session']],
  body: Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, result })),
});

const rootsOf = (given: readonly Given[]): readonly unknown[] =>
  given.flatMap(({ value }) => (Array.isArray(value) ? value.map((uri: unknown) => ({ uri })) : []));

/** The call of a tool, with the answers and keys of `_meta` among the given arguments. */
function toolCall(action: CatalogAction, params: object, given: readonly Given[]): WrittenCall {
  const carried = given.flatMap(({ spec, value }) =>
    spec.from === 'input' || spec.from === 'meta' ? [{ spec, value }] : [],
  );
  const meta = carried.flatMap(({ spec, value }) => (spec.from === 'meta' ? [[spec.key, value] as const] : []));
  const answers = new Map<string, object>();
  for (const { spec, value } of carried) {
    if (spec.from === 'input') answers.set(spec.key, answerWith(spec, value, answers.get(spec.key)));
  }
  const sent = { ...params, ...(meta.length === 0 ? {} : { _meta: Object.fromEntries(meta) }) };
  if (answers.size === 0) return jsonRpcTo(action, 'tools/call', sent);
  return nextRound(action, 'tools/call', { ...sent, inputResponses: Object.fromEntries(answers) });
}

function answerWith({ part, member }: CarriedArgument, value: unknown, other: object = {}): object {
  if (part === 'text') return { role: 'assistant', model: 'x', content: { type: 'text', text: value } };
  if (part === 'roots') return { roots: Array.isArray(value) ? value.map((uri: unknown) => ({ uri })) : value };
  const content = 'content' in other ? other.content : {};
  return { action: 'accept', content: { ...(typeof content === 'object' ? content : {}), [member]: value } };
}

function a2aTo(action: CatalogAction, given: readonly Given[]): WrittenCall {
  const name = action.endpoint.slice(action.template.length + 1);
  const method = name === 'send' ? 'message/send' : name;
  const params = objectFrom(given, (spec) => (spec.from === 'body' ? placeInParams(spec, method) : null));
  return jsonRpcTo(action, method, params);
}

/** A message with each value at its path; empty if nothing describes it. */
function grpcTo(action: CatalogAction, given: readonly Given[]): WrittenCall | Problem {
  const { input, template, server } = action;
  const method = template.slice(1);
  const values = given.map(({ spec, value }) => ({
    spec,
    value: value === PLAIN[spec.type] ? plainIn(input, spec) : value,
  }));
  const bytes =
    values.length === 0 ? new Uint8Array() : messageOf(action, { method, json: objectFrom(values, pathInMessage) });
  if (isProblem(bytes)) return bytes;
  return { method: 'POST', url: urlOf(server, template), headers: GRPC_BODY, body: framed(bytes) };
}

const pathInMessage = (spec: ArgumentSpec): readonly string[] | null => (spec.from === 'message' ? spec.path : null);

/** Default value of a required message argument; for an enum its first name. */
function plainIn(input: CatalogAction['input'], spec: ArgumentSpec): unknown {
  let field: FieldDescriptor | undefined;
  for (const step of pathInMessage(spec) ?? [])
    field = input?.set.messages.get(field === undefined ? input.name : (field.typeName ?? ''))?.fields.get(step);
  const [first] = field?.kind === 'enum' ? (input?.set.enums.get(field.typeName ?? '')?.values() ?? []) : [];
  return first ?? (field?.kind === 'string' && spec.type === 'decimal' ? '0' : PLAIN[spec.type]);
}
