/** The shape of a call that the catalog does not know: names and types, never a value. */
import { strictJsonFrom } from '../token/jose/strict-json.ts';
import { isProblem } from '../runtime/problem.ts';
import { PLACES } from './a2a/a2a-methods.ts';
import type { HttpCall } from './http/call.ts';
import { objectMembers } from './json-rpc.ts';
import { hintAbove, hintOf, nestedNames } from './secrets/secret-name.ts';
import type { SecretHint } from './secrets/secret-name.ts';
import { isSecretArgument, shownText } from './secrets/static-secret.ts';

/** The type of a value in JSON; a whole number is an `integer`. */
export const JSON_KINDS = ['string', 'number', 'integer', 'boolean', 'null', 'array', 'object'] as const;
export type JsonKind = (typeof JSON_KINDS)[number];

/** Protocols that a shape tells apart. */
export const SHAPE_PROTOCOLS = ['http', 'mcp', 'json-rpc', 'grpc', 'a2a'] as const;

/** Names and types of members by name, two levels deep; of a member that is secret by its name, only its type. */
export type MemberKinds = {
  readonly [name: string]: JsonKind | { readonly [name: string]: JsonKind };
};

/** Names and types of a call, never a value. At most 64 names, and 8 KiB as JSON. */
export type CallShape = {
  readonly protocol: (typeof SHAPE_PROTOCOLS)[number];
  /** Names of the query's keys, sorted, each once. */
  readonly query: readonly string[];
  /** The method of a JSON-RPC call, and the name of the MCP tool that it calls; absent for other calls. */
  readonly rpc?: { readonly method: string; readonly tool: string | null };
  /** Members of a JSON body; for an MCP call, the arguments of the tool or prompt. Absent without a JSON object. */
  readonly members?: MemberKinds;
  /** Set if names were left out. */
  readonly cut?: true;
};

/** Most names in a shape. */
const MAX_NAMES = 64;
/** Most bytes of all names, so that the shape has at most 8 KiB as JSON. */
const MAX_NAMES_BYTES = 6_144;
/** Longest body that is read, in bytes: 1 MiB, as for a JSON-RPC message. */
const MAX_BODY_BYTES = 1_048_576;

/**
 * A name that a developer chose: letters, digits and `_$@.:-[]`, at most 64, beginning with a letter, `_`, `$` or `@`. Anything
 * else (an account number, an e-mail address, a sentence) may be a value that is used as a name.
 */
const PLAIN_NAME = /^[\p{L}_$@][\p{L}\p{N}_$.:[\]-]{0,63}$/u;
/** The same for the name of a method or tool: at most 128 characters, `/` included. */
const PLAIN_RPC_NAME = /^[\p{L}_$][\p{L}\p{N}_$.:/-]{0,127}$/u;

const A2A_HEADER = 'a2a-version';
const MCP_HEADERS = ['mcp-protocol-version', 'mcp-session-id', 'mcp-method'] as const;
/** The MCP methods, by the part of their name before the first `/`. */
const MCP_FAMILIES: ReadonlySet<string> = new Set([
  'completion',
  'initialize',
  'logging',
  'notifications',
  'ping',
  'prompts',
  'resources',
  'roots',
  'sampling',
  'server',
  'subscriptions',
  'tasks',
  'tools',
]);

/**
 * The shape of a call. A name that is or contains a credential, or does not read as a name, is shown as its digest; so is what lies below a name of
 * a secret, such as `hunter2` of `password[hunter2]`. A body that is not one strict JSON object has no members. Pure, never throws; linear in the
 * query and the body.
 *
 * @param digestOf the digest that is shown instead of a secret
 */
export function callShapeOf(call: HttpCall, digestOf: (secret: string) => string): CallShape {
  const names = new Names(digestOf);
  const body = isGrpc(call) ? null : jsonBodyOf(call);
  const rpc = body === null ? null : rpcOf(body);
  const protocol = isGrpc(call) ? 'grpc' : rpc === null ? 'http' : protocolOf(call, rpc.method);
  const query = queryNamesOf(call.query, names);
  const read = protocol === 'mcp' ? argumentsOf(body) : body;
  const members = read === null ? null : kindsOf(read, names);
  return {
    ...(names.isCut ? { cut: true } : {}),
    ...(members === null ? {} : { members }),
    protocol,
    query,
    ...(rpc === null ? {} : { rpc: shownRpc(rpc, protocol, digestOf) }),
  };
}

/** Names that are shown, up to the bounds of a shape. */
class Names {
  isCut = false;
  #left = MAX_NAMES;
  #bytesLeft = MAX_NAMES_BYTES;
  readonly #digestOf: (secret: string) => string;

  constructor(digestOf: (secret: string) => string) {
    this.#digestOf = digestOf;
  }

  /**
   * The name as shown; `null` if there is no room for it.
   * @param above what the names above it say
   */
  shown(name: string, above: SecretHint): string | null {
    const isBelowSecret = above !== 'none' && nestedNames(name).some((word) => isSecretArgument(above, word));
    const shown = isBelowSecret ? this.#digestOf(name) : shownName(name, PLAIN_NAME, this.#digestOf);
    const bytes = Buffer.byteLength(shown);
    if (this.#left === 0 || this.#bytesLeft < bytes) {
      this.isCut = true;
      return null;
    }
    this.#left -= 1;
    this.#bytesLeft -= bytes;
    return shown;
  }
}

const shownName = (name: string, plain: RegExp, digestOf: (secret: string) => string): string =>
  plain.test(name) && !holdsSecret(name) ? name : digestOf(name);

const isSecret = (text: string): boolean => shownText(text, () => '') !== text;

const SIGN = /[^\p{L}\p{N}]/u;

/** Whether a name, or a part of it between punctuation, is a credential: a search for whole words does not find `run-AKIA…`. */
function holdsSecret(name: string): boolean {
  const pieces = name.split(SIGN);
  let at = 0;
  return pieces.some((piece) => {
    const rest = name.slice(at);
    at += piece.length + 1;
    return isSecret(rest) || isSecret(piece);
  });
}

function queryNamesOf(query: string, names: Names): readonly string[] {
  const found = new Set<string>();
  for (const field of query === '' ? [] : query.split('&')) {
    const equals = field.indexOf('=');
    const name = decoded(equals === -1 ? field : field.slice(0, equals));
    if (field === '' || found.has(name)) continue;
    found.add(name);
    // More than these cannot be shown.
    if (found.size > MAX_NAMES) break;
  }
  const shown = [...found].map((name) => names.shown(name, hintAbove(name))).filter((name) => name !== null);
  return [...new Set(shown)].toSorted();
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
}

/** The members of a body that is one JSON object; `null` for any other. */
function jsonBodyOf({ body }: HttpCall): ReadonlyMap<string, unknown> | null {
  if (body === null || body.length === 0 || body.length > MAX_BODY_BYTES) return null;
  const read = strictJsonFrom(body);
  return isProblem(read) ? null : objectMembers(read.value);
}

interface Rpc {
  readonly method: string;
  readonly tool: string | null;
}

function rpcOf(body: ReadonlyMap<string, unknown>): Rpc | null {
  const method = body.get('method');
  if (body.get('jsonrpc') !== '2.0' || typeof method !== 'string') return null;
  const name = objectMembers(body.get('params'))?.get('name');
  return { method, tool: method === 'tools/call' && typeof name === 'string' ? name : null };
}

function protocolOf({ headers }: HttpCall, method: string): 'mcp' | 'a2a' | 'json-rpc' {
  if (MCP_HEADERS.some((name) => headers.has(name))) return 'mcp';
  if (headers.has(A2A_HEADER) || PLACES.has(method)) return 'a2a';
  const slash = method.indexOf('/');
  return MCP_FAMILIES.has(slash === -1 ? method : method.slice(0, slash)) ? 'mcp' : 'json-rpc';
}

const shownRpc = (
  { method, tool }: Rpc,
  protocol: CallShape['protocol'],
  digestOf: (secret: string) => string,
): Rpc => ({
  method: shownName(method, PLAIN_RPC_NAME, digestOf),
  tool: tool === null || protocol !== 'mcp' ? null : shownName(tool, PLAIN_RPC_NAME, digestOf),
});

const argumentsOf = (body: ReadonlyMap<string, unknown> | null): ReadonlyMap<string, unknown> | null =>
  objectMembers(objectMembers(body?.get('params'))?.get('arguments'));

function kindsOf(members: ReadonlyMap<string, unknown>, names: Names): MemberKinds {
  const kinds: [string, MemberKinds[string]][] = [];
  for (const [name, value] of members) {
    const shown = names.shown(name, hintAbove(name));
    if (shown === null) break;
    const hint = hintOf(name);
    const below = hint === 'secret' ? null : objectMembers(value);
    kinds.push([shown, below === null || below.size === 0 ? kindOf(value) : belowOf(below, { names, hint })]);
  }
  return Object.fromEntries(kinds);
}

function belowOf(
  members: ReadonlyMap<string, unknown>,
  { names, hint }: { readonly names: Names; readonly hint: SecretHint },
): { readonly [name: string]: JsonKind } {
  const kinds: [string, JsonKind][] = [];
  for (const [name, value] of members) {
    const shown = names.shown(name, hintAbove(name, hint));
    if (shown === null) break;
    kinds.push([shown, kindOf(value)]);
  }
  return Object.fromEntries(kinds);
}

function kindOf(value: unknown): JsonKind {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value === 'string' ? 'string' : typeof value === 'boolean' ? 'boolean' : 'object';
}

const isGrpc = ({ headers }: HttpCall): boolean =>
  headers.get('content-type')?.some((type) => type.toLowerCase().startsWith('application/grpc')) === true;
