/** The keys of `_meta` in an MCP message: those that arguments name, and the others. */
import { isProblem } from '../../runtime/problem.ts';
import type { Problem } from '../../runtime/problem.ts';
import { objectMembers } from '../json-rpc.ts';
import { isLogLevel } from './mcp-params.ts';

/** What the `_meta` of a request has besides the keys that the specification and OpenTelemetry define, by key. */
export type OtherMeta = ReadonlyMap<string, unknown>;

/** A value of a reserved key: what is wrong with it, or what it has beyond the specification, by path below the key. */
type MetaReader = (value: unknown) => Problem | OtherMeta;

const NONE: OtherMeta = new Map();
const MAX_KEYS = 64;
const MAX_KEY_LENGTH = 256;
const MAX_TOKEN_LENGTH = 128;
const MAX_TEXT_LENGTH = 256;
const MAX_DESCRIPTION_LENGTH = 1024;

const valid =
  (fits: (value: unknown) => boolean): MetaReader =>
  (value) =>
    fits(value) ? NONE : { problem: 'is not valid' };

const textUpTo =
  (max: number) =>
  (value: unknown): boolean =>
    typeof value === 'string' && value.length <= max;

/** The key that names the revision in the body. */
export const VERSION_KEY = 'io.modelcontextprotocol/protocolVersion';

/** Keys that the specification reserves for requests of clients. */
const RESERVED: ReadonlyMap<string, MetaReader> = new Map<string, MetaReader>([
  ['progressToken', valid((value) => textUpTo(MAX_TOKEN_LENGTH)(value) || Number.isSafeInteger(value))],
  [VERSION_KEY, valid(textUpTo(MAX_TEXT_LENGTH))],
  ['io.modelcontextprotocol/clientInfo', clientInfo],
  ['io.modelcontextprotocol/clientCapabilities', clientCapabilities],
  ['io.modelcontextprotocol/logLevel', valid(isLogLevel)],
]);

/**
 * The keys of W3C Trace Context that OpenTelemetry writes. A key with a value outside its grammar counts as another key. `baggage` is not
 * listed: its content is free, and servers read it.
 *
 * @see https://www.w3.org/TR/trace-context/
 */
const TRACE: ReadonlyMap<string, (value: string) => boolean> = new Map([
  ['traceparent', (value) => /^(?!ff)[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(value)],
  ['tracestate', (value) => value.length <= 512 && /^[\x20-\x7e]*$/.test(value)],
]);

/** Keys that known servers act on: they pass only if the catalog names them, whatever the risk of the action. */
const ACTED_ON: ReadonlySet<string> = new Set([
  'io.modelcontextprotocol/related-task',
  'x402/payment',
  'fastmcp',
  'fastmcp.version',
]);

/** Whether known servers act on a key. */
export const isActedOn = (key: string): boolean => ACTED_ON.has(key);

/**
 * The other keys of a `_meta`. A problem if it is not an object, has more than 64 keys or a key of more than 256 characters, or if a
 * reserved key does not have the value that the specification says. Pure.
 */
export function otherMetaFrom(meta: unknown): OtherMeta | Problem {
  if (meta === undefined) return NONE;
  const sent = objectMembers(meta);
  if (sent === null) return { problem: '`_meta` must be an object' };
  if (sent.size > MAX_KEYS) return { problem: `\`_meta\` has more than ${MAX_KEYS} keys` };
  const others = new Map<string, unknown>();
  for (const [key, value] of sent) {
    if (key.length > MAX_KEY_LENGTH)
      return { problem: `a key of \`_meta\` is longer than ${MAX_KEY_LENGTH} characters` };
    if (typeof value === 'string' && TRACE.get(key)?.(value) === true) continue;
    const reader = RESERVED.get(key);
    if (reader === undefined) {
      others.set(key, value);
      continue;
    }
    const beyond = reader(value);
    if (isProblem(beyond)) return { problem: `\`${key}\` of \`_meta\` ${beyond.problem}` };
    for (const [path, of] of beyond) others.set(`${key}/${path}`, of);
  }
  return others;
}

/** What `initialize` carries beyond the specification: of the client's description and of its capabilities. */
export function otherInitialization(params: ReadonlyMap<string, unknown>): OtherMeta | Problem {
  const info = params.has('clientInfo') ? clientInfo(params.get('clientInfo')) : NONE;
  if (isProblem(info)) return { problem: `\`clientInfo\` ${info.problem}` };
  const capabilities = params.has('capabilities') ? clientCapabilities(params.get('capabilities')) : NONE;
  if (isProblem(capabilities)) return { problem: `\`capabilities\` ${capabilities.problem}` };
  return new Map([
    ...Array.from(info, ([path, value]) => [`clientInfo/${path}`, value] as const),
    ...Array.from(capabilities, ([path, value]) => [`capabilities/${path}`, value] as const),
  ]);
}

const INFO: ReadonlyMap<string, number> = new Map([
  ['name', MAX_TEXT_LENGTH],
  ['version', MAX_TEXT_LENGTH],
  ['title', MAX_TEXT_LENGTH],
  ['description', MAX_DESCRIPTION_LENGTH],
]);

/** `websiteUrl` and `icons` are addresses that a server could fetch, so they count as other members. */
function clientInfo(value: unknown): Problem | OtherMeta {
  const sent = objectMembers(value);
  if (sent === null) return { problem: 'must be an object' };
  const others = new Map<string, unknown>();
  for (const [name, of] of sent) {
    const max = INFO.get(name);
    if (max === undefined) others.set(name, of);
    else if (!textUpTo(max)(of)) return { problem: `has an invalid \`${name}\`` };
  }
  return others;
}

const CAPABILITIES = new Set(['roots', 'sampling', 'elicitation', 'tasks']);
/** Capabilities that are named freely: those of the specification's own extensions pass, as far as they are switches and media types. */
const FREE = new Set(['experimental', 'extensions']);
const OWN_PREFIX = 'io.modelcontextprotocol/';
const MAX_DEPTH = 4;
const MAX_MEDIA_TYPES = 16;
const MEDIA_TYPE = /^[a-z]{1,32}\/[a-z0-9.+-]{1,64}(;[a-z]{1,32}=[a-z0-9.+-]{1,64})?$/;

function clientCapabilities(value: unknown): Problem | OtherMeta {
  const sent = objectMembers(value);
  if (sent === null) return { problem: 'must be an object' };
  const others = new Map<string, unknown>();
  for (const [name, of] of sent) {
    if (CAPABILITIES.has(name)) {
      if (!isSwitches(of, MAX_DEPTH)) return { problem: `has an invalid \`${name}\`` };
      continue;
    }
    const below = FREE.has(name) ? objectMembers(of) : null;
    if (below === null) others.set(name, of);
    else for (const [key, one] of below) if (!isOwnExtension(key, one)) others.set(`${name}/${key}`, one);
  }
  return others;
}

const isOwnExtension = (key: string, value: unknown): boolean =>
  key.startsWith(OWN_PREFIX) &&
  (objectMembers(value)
    ?.values()
    .every((of) => isSwitches(of, MAX_DEPTH) || areMediaTypes(of)) ??
    false);

const areMediaTypes = (value: unknown): boolean =>
  Array.isArray(value) &&
  value.length <= MAX_MEDIA_TYPES &&
  value.every((type) => typeof type === 'string' && MEDIA_TYPE.test(type));

/** Whether a value has only objects and booleans, as the declaration of a capability does. */
const isSwitches = (value: unknown, depth: number): boolean =>
  typeof value === 'boolean' ||
  (depth > 0 &&
    (objectMembers(value)
      ?.values()
      .every((of) => isSwitches(of, depth - 1)) ??
      false));
