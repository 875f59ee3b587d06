import { entriesOf, yamlFields, leafOf } from '../../../core/action/catalog/yaml-file.ts';
import type { PlacedNode, YamlFile } from '../../../core/action/catalog/yaml-file.ts';
import type { Delegation, StopFacts } from '../../../core/policy/issue-question.ts';
import { jsonOf } from '../../../core/runtime/yaml-text.ts';
import { spiffeId } from '../../../core/token/jose/claim-readers.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import {
  bool,
  integer,
  made,
  members,
  oneOf,
  oneOrMore,
  optional,
  type Reader,
  text,
} from '../../../core/runtime/fields.ts';
import { STOPPING_KINDS } from '../../../core/task/cause.ts';
import { STOP_MEMORY_MS } from '../../../core/task/stop.ts';
import { anyObject, attestedValues } from './case-leaf.ts';
import { DEFAULT_LIVES } from './test-case.ts';
import type { Attempt } from './test-case.ts';

/** The keys of a case that describe the attempt; a case has exactly one. */
export const ATTEMPTS = ['call', 'mcp', 'a2a', 'grpc', 'action', 'issue'] as const;

type Read = (yaml: YamlFile, node: PlacedNode, args: PlacedNode | undefined) => Attempt | null | readonly Attempt[];

const MAX_TEXT = 8192;
const MAX_LISTED = 1000;
const MAX_TTL_SECONDS = 86_400;
const MAX_BODY_CHARS = 1024 * 1024;
const some = text({ max: MAX_TEXT });

/**
 * The attempt of a case, or several if it lists actions; a finding and an empty result if there is none, more than one kind,
 * or it is invalid.
 */
export function attemptsFrom(yaml: YamlFile, fields: ReadonlyMap<string, PlacedNode>, at: number): readonly Attempt[] {
  const [kind, second] = ATTEMPTS.filter((name) => fields.has(name));
  const args = fields.get('args');
  if (kind === undefined || second !== undefined) {
    yaml.report(at, `a case has exactly one of ${ATTEMPTS.map((name) => `\`${name}\``).join(', ')}`);
    return [];
  }
  if (args !== undefined && kind !== 'action') yaml.report(args.offset, '`args` goes with `action`');
  const node = fields.get(kind);
  const read = node === undefined ? null : readers[kind](yaml, node, args);
  return read === null ? [] : isList(read) ? read : [read];
}

const isList = (read: Attempt | readonly Attempt[]): read is readonly Attempt[] => Array.isArray(read);

/** One catalog id or a list. */
const actionIds = oneOrMore(some, { max: MAX_LISTED });

const readers: Readonly<Record<(typeof ATTEMPTS)[number], Read>> = {
  call,
  mcp,
  a2a: (yaml, node) => jsonRpc(yaml, node, 'a2a'),
  grpc,
  action: (yaml, node, args) => {
    const actions = leafOf(yaml, node, { what: '`action`', reader: actionIds }) ?? [];
    const given = leafOf(yaml, args, { what: '`args`', reader: anyObject });
    return actions.map((action) => ({ kind: 'action', action, args: given ?? {} }));
  },
  issue,
};

function call(yaml: YamlFile, node: PlacedNode): Attempt | null {
  const fields = yamlFields(yaml, node, {
    what: '`call`',
    required: ['method', 'url'],
    optional: ['headers', 'body', 'base64'],
  });
  const method = leafOf(yaml, fields.get('method'), { what: '`method`', reader: some });
  const url = leafOf(yaml, fields.get('url'), { what: '`url`', reader: some });
  const headers = headersFrom(yaml, fields.get('headers'));
  const [body, bytes] = [fields.get('body'), fields.get('base64')];
  if (body !== undefined && bytes !== undefined) yaml.report(bytes.offset, 'either `body` or `base64`, not both');
  const raw = leafOf(yaml, bytes, { what: '`base64`', reader: base64 }) ?? null;
  if (typeof method !== 'string' || typeof url !== 'string') return null;
  if (body === undefined) return { kind: 'call', method, url, headers, body: raw };
  // Mappings and lists are sent as JSON; text is sent as it is.
  const value = jsonOf(body.value);
  const isText = typeof value === 'string';
  const isTyped = isText || headers.some(([name]) => name.toLowerCase() === 'content-type');
  const typed = isTyped ? headers : [...headers, ['content-type', 'application/json'] as const];
  return { kind: 'call', method, url, headers: typed, body: Buffer.from(isText ? value : JSON.stringify(value)) };
}

function headersFrom(yaml: YamlFile, node: PlacedNode | undefined): readonly (readonly [string, string])[] {
  if (node === undefined) return [];
  return entriesOf(yaml, node, '`headers`').flatMap(([name, value]) => {
    const read = leafOf(yaml, value, { what: `the header \`${name.value}\``, reader: headerValues });
    return (read ?? []).map((one) => [name.value, one] as const);
  });
}

/** One value, or a list for a repeated header. */
const headerValues: Reader<readonly string[]> = (value) => {
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  const isText = values.every((one): one is string => typeof one === 'string' && one.length <= MAX_TEXT);
  return isText ? values : { problem: 'must be text, or a list of texts' };
};

const base64: Reader<Uint8Array> = (value) => {
  const isBase64 = typeof value === 'string' && value.length <= MAX_BODY_CHARS && /^[A-Za-z0-9+/]*={0,2}$/.test(value);
  return isBase64 ? Buffer.from(value, 'base64') : { problem: 'must be base64' };
};

/** `tool` with `arguments`, answers (`inputs`) and `meta` is short for the method `tools/call`. */
function mcp(yaml: YamlFile, node: PlacedNode): Attempt | null {
  const optional = ['server', 'tool', 'arguments', 'inputs', 'meta', 'method', 'params'] as const;
  const fields = yamlFields(yaml, node, { what: '`mcp`', required: [], optional });
  if (!fields.has('tool')) return jsonRpc(yaml, node, 'mcp');
  const inputs = leafOf(yaml, fields.get('inputs'), { what: '`inputs`', reader: anyObject });
  const meta = leafOf(yaml, fields.get('meta'), { what: '`meta`', reader: anyObject });
  if (fields.has('method') || fields.has('params')) yaml.report(node.offset, 'either `tool` or `method`, not both');
  const name = leafOf(yaml, fields.get('tool'), { what: '`tool`', reader: some });
  const sent = leafOf(yaml, fields.get('arguments'), { what: '`arguments`', reader: anyObject });
  const server = leafOf(yaml, fields.get('server'), { what: '`server`', reader: some }) ?? null;
  if (typeof name !== 'string') return null;
  const params = {
    name,
    arguments: sent ?? {},
    ...(inputs && { inputResponses: inputs }),
    ...(meta && { _meta: meta }),
  };
  return { kind: 'mcp', server, method: 'tools/call', params };
}

function jsonRpc(yaml: YamlFile, node: PlacedNode, kind: 'mcp' | 'a2a'): Attempt | null {
  const what = kind === 'mcp' ? '`mcp` without `tool`' : '`a2a`';
  const fields = yamlFields(yaml, node, { what, required: ['method'], optional: ['server', 'params'] });
  const method = leafOf(yaml, fields.get('method'), { what: '`method`', reader: some });
  const params = leafOf(yaml, fields.get('params'), { what: '`params`', reader: anyObject });
  const server = leafOf(yaml, fields.get('server'), { what: '`server`', reader: some }) ?? null;
  return typeof method === 'string' ? { kind, server, method, params: params ?? {} } : null;
}

/** A mapping is the message in its JSON form; text is its bytes in base64. */
const message: Reader<Uint8Array | { readonly json: object }> = (value) => {
  if (typeof value === 'string') return base64(value);
  const read = anyObject(value);
  return isProblem(read) ? { problem: 'must be a mapping, which is JSON, or base64' } : { json: read };
};

function grpc(yaml: YamlFile, node: PlacedNode): Attempt | null {
  const fields = yamlFields(yaml, node, { what: '`grpc`', required: ['method'], optional: ['server', 'message'] });
  const method = leafOf(yaml, fields.get('method'), { what: '`method`', reader: some });
  const sent = leafOf(yaml, fields.get('message'), { what: '`message`', reader: message });
  const server = leafOf(yaml, fields.get('server'), { what: '`server`', reader: some }) ?? null;
  return typeof method === 'string' ? { kind: 'grpc', server, method, message: sent ?? new Uint8Array() } : null;
}

const delegation: Reader<Delegation> = members({
  parent: spiffeId,
  depth: integer(1, 100),
  attested: optional(attestedValues, []),
});

const stop: Reader<StopFacts> = made(
  members({
    cause: oneOf(STOPPING_KINDS),
    seconds_since: integer(0, STOP_MEMORY_MS / 1_000),
    suspended: optional(bool, false),
  }),
  ({ cause, seconds_since: secondsSince, suspended: isSuspended }) => ({ cause, secondsSince, isSuspended }),
);

function issue(yaml: YamlFile, node: PlacedNode): readonly Attempt[] {
  const bare = actionIds(jsonOf(node.value));
  if (!isProblem(bare)) return bare.map((action) => issueOf(action, {}, { delegation: null, stopped: null }));
  const optional = ['ttl_seconds', 'task_seconds', 'delegation', 'stopped'] as const;
  const fields = yamlFields(yaml, node, { what: '`issue`', required: ['action'], optional });
  const actions = leafOf(yaml, fields.get('action'), { what: '`action`', reader: actionIds }) ?? [];
  const life = (name: 'ttl_seconds' | 'task_seconds'): number | null | undefined =>
    leafOf(yaml, fields.get(name), { what: `\`${name}\``, reader: integer(1, MAX_TTL_SECONDS) });
  const lives = { ttl: life('ttl_seconds'), task: life('task_seconds') };
  const handed = leafOf(yaml, fields.get('delegation'), { what: '`delegation`', reader: delegation }) ?? null;
  const stopped = leafOf(yaml, fields.get('stopped'), { what: '`stopped`', reader: stop }) ?? null;
  return actions.map((action) => issueOf(action, lives, { delegation: handed, stopped }));
}

type Issue = Extract<Attempt, { readonly kind: 'issue' }>;

interface Lives {
  readonly ttl?: number | null | undefined;
  readonly task?: number | null | undefined;
}

/** A task lives at least as long as its token. */
const issueOf = (action: string, { ttl, task }: Lives, rest: Pick<Issue, 'delegation' | 'stopped'>): Issue => ({
  kind: 'issue',
  action,
  ttlSeconds: ttl ?? Math.min(DEFAULT_LIVES.ttlSeconds, task ?? Infinity),
  taskSeconds: task ?? Math.max(DEFAULT_LIVES.taskSeconds, ttl ?? 0),
  ...rest,
});
