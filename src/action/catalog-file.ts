import { pathTemplateFrom } from './template.ts';
import type { PathTemplate } from './template.ts';
import { booleanOf, entriesOf, fieldsOf, itemsOf, stringOf, wordOf } from './yaml-file.ts';
import type { Placed, PlacedNode, YamlFile } from './yaml-file.ts';

/** How much harm an action can do; also the name of the action group it is in. */
export type Risk = 'low' | 'medium' | 'high';

/** Where an argument is taken from and what it must be. */
export interface ArgumentSpec {
  readonly name: string;
  readonly from: 'path' | 'query';
  /** `long` is a safe integer, +-(2^53 - 1). */
  readonly type: 'string' | 'long' | 'bool';
  readonly required: boolean;
}

/**
 * What a call can be authenticated with: a task token, a token of a configured external issuer, or the workload identity
 * alone.
 */
export type CredentialKind = 'task-token' | 'external-token' | 'workload-identity';

/** One server of the file, each value with its place. */
export interface ServerEntry {
  readonly id: Placed<string>;
  readonly hosts: readonly Placed<string>[];
  readonly audience: Placed<string>;
  /** Whether calls to it carry a transaction token of Remit. Default no. */
  readonly transactionToken: boolean;
  readonly actions: readonly ActionEntry[];
}

/** One route of the file. */
export interface ActionEntry {
  readonly id: Placed<string>;
  readonly risk: Risk;
  readonly method: string;
  readonly template: Placed<PathTemplate>;
  /** The credentials it can be called with; its own, else its server's, else a task token alone. */
  readonly accepts: ReadonlySet<CredentialKind>;
  readonly args: readonly ArgumentSpec[];
}

const RISKS = ['low', 'medium', 'high'] as const;
const CREDENTIAL_KINDS = ['task-token', 'external-token', 'workload-identity'] as const;
const TASK_TOKEN_ALONE: ReadonlySet<CredentialKind> = new Set(['task-token']);
/** Ids that Remit's own actions and the risk groups have in the schema. */
const RESERVED_IDS = new Set<string>([...RISKS, 'issue']);
const SERVER_ID = /^[a-z][a-z0-9_-]{0,62}$/;
const ACTION_ID = /^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$/;
const MAX_NAME_LENGTH = 128;
const MAX_ARGS = 64;
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;
const HOST_LABEL = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';
const HOST = new RegExp(String.raw`^${HOST_LABEL}(\.${HOST_LABEL})*$`);
const IPV6_HOST = /^\[[0-9a-f:.]{2,45}\]$/;
const MAX_HOST_LENGTH = 253;
const MAX_AUDIENCE_LENGTH = 2048;

/** Reads the entries of `actions.yaml`; what cannot be read is a finding of the file and left out. */
export function readCatalog(yaml: YamlFile): readonly ServerEntry[] {
  if (yaml.findings.length > 0) return [];
  const servers = fieldsOf(yaml, yaml.root, { what: 'the catalog', required: ['servers'] }).get('servers');
  if (servers === undefined) return [];
  return entriesOf(yaml, servers, '`servers`').flatMap(([id, node]) => serverEntry(yaml, id, node) ?? []);
}

function serverEntry(yaml: YamlFile, id: Placed<string>, node: PlacedNode): ServerEntry | null {
  if (!SERVER_ID.test(id.value)) {
    yaml.report(
      id.offset,
      `the server id \`${id.value}\` must be lower-case letters, digits, \`-\` and \`_\`, at most 63`,
    );
  }
  const fields = fieldsOf(yaml, node, {
    what: 'a server',
    required: ['hosts', 'audience', 'routes'],
    optional: ['accepts', 'transactionToken'],
  });
  const hosts = hostsOf(yaml, fields.get('hosts'));
  const rule = 'an absolute `https` URI without user and fragment';
  const audience = stringOf(yaml, fields.get('audience'), { what: 'the audience', accepts: isAudience, rule });
  const routes = fields.get('routes');
  const items = routes === undefined ? [] : itemsOf(yaml, routes, '`routes`');
  const accepts = acceptsOf(yaml, fields.get('accepts')) ?? TASK_TOKEN_ALONE;
  const actions = items.flatMap((item) => actionEntry(yaml, item, accepts) ?? []);
  const wanted = fields.get('transactionToken');
  const transactionToken = wanted === undefined ? false : booleanOf(yaml, wanted, '`transactionToken`');
  return audience === null ? null : { id, hosts, audience, transactionToken: transactionToken === true, actions };
}

function hostsOf(yaml: YamlFile, node: PlacedNode | undefined): readonly Placed<string>[] {
  if (node === undefined) return [];
  const rule = 'a lower-case host name without port and without wildcard';
  const items = itemsOf(yaml, node, '`hosts`');
  if (items.length === 0) yaml.report(node.offset, 'a server has at least one host');
  return items.flatMap((item) => stringOf(yaml, item, { what: 'the host', accepts: isHost, rule }) ?? []);
}

const isHost = (value: string): boolean =>
  value.length <= MAX_HOST_LENGTH && (HOST.test(value) || IPV6_HOST.test(value));

/** RFC 8707 section 2: an absolute URI without a fragment; compared as written, so it must be written canonically. */
function isAudience(value: string): boolean {
  if (value.length > MAX_AUDIENCE_LENGTH || !value.startsWith('https://') || !URL.canParse(value)) return false;
  const url = new URL(value);
  const isCanonical = url.href === value || url.href === `${value}/`;
  return isCanonical && !value.includes('#') && url.username === '' && url.password === '';
}

/** The credentials of a list of words; `null` where there is no list. */
function acceptsOf(yaml: YamlFile, node: PlacedNode | undefined): ReadonlySet<CredentialKind> | null {
  if (node === undefined) return null;
  const items = itemsOf(yaml, node, '`accepts`');
  if (items.length === 0) yaml.report(node.offset, '`accepts` names at least one kind of credential');
  return new Set(
    items.flatMap((item) => wordOf(yaml, item, { what: 'the credential', words: CREDENTIAL_KINDS }) ?? []),
  );
}

function actionEntry(yaml: YamlFile, node: PlacedNode, serverAccepts: ReadonlySet<CredentialKind>): ActionEntry | null {
  const fields = fieldsOf(yaml, node, {
    what: 'a route',
    required: ['action', 'method', 'path', 'risk'],
    optional: ['args', 'accepts'],
  });
  const rule = 'words of letters, digits, `-` and `_` joined by dots, at most 128 characters, and none of Remit’s own';
  const id = stringOf(yaml, fields.get('action'), { what: 'the action', accepts: isActionId, rule });
  const method = wordOf(yaml, fields.get('method'), { what: 'the method', words: METHODS });
  const risk = wordOf(yaml, fields.get('risk'), { what: 'the risk', words: RISKS });
  const template = templateOf(yaml, fields.get('path'));
  const args = template === null ? [] : argumentSpecs(yaml, fields.get('args'), template.value);
  if (id === null || method === null || risk === null || template === null) return null;
  const accepts = acceptsOf(yaml, fields.get('accepts')) ?? serverAccepts;
  return { id, method, risk, template, accepts, args };
}

const isActionId = (value: string): boolean =>
  value.length <= MAX_NAME_LENGTH && ACTION_ID.test(value) && !RESERVED_IDS.has(value);

function templateOf(yaml: YamlFile, node: PlacedNode | undefined): Placed<PathTemplate> | null {
  const text = stringOf(yaml, node, { what: 'the path', accepts: () => true, rule: 'a path template' });
  if (text === null) return null;
  const template = pathTemplateFrom(text.value);
  if (!('problem' in template)) return { value: template, offset: text.offset };
  yaml.report(text.offset, `the path \`${text.value.slice(0, 100)}\` is no template: ${template.problem}`);
  return null;
}

/** The declared arguments, and each path parameter that is not declared as a required string. */
function argumentSpecs(yaml: YamlFile, node: PlacedNode | undefined, template: PathTemplate): readonly ArgumentSpec[] {
  const declared = node === undefined ? [] : entriesOf(yaml, node, '`args`');
  if (declared.length > MAX_ARGS) yaml.report(node?.offset ?? 0, `a route has at most ${MAX_ARGS} arguments`);
  const specs = declared.flatMap(([name, value]) => argumentSpec(yaml, { name, value, template }) ?? []);
  const names = new Set(declared.map(([name]) => name.value));
  const implicit = template.parameters.filter((name) => !names.has(name));
  return [...implicit.map((name) => ({ name, from: 'path', type: 'string', required: true }) as const), ...specs];
}

function argumentSpec(
  yaml: YamlFile,
  entry: { readonly name: Placed<string>; readonly value: PlacedNode; readonly template: PathTemplate },
): ArgumentSpec | null {
  const { name, value, template } = entry;
  if (!isArgumentName(name.value)) {
    yaml.report(
      name.offset,
      `the argument name \`${name.value.slice(0, 100)}\` must be printable, at most 128 characters, and not begin with \`__\``,
    );
  }
  const fields = fieldsOf(yaml, value, { what: 'an argument', required: ['from'], optional: ['type', 'required'] });
  const from = wordOf(yaml, fields.get('from'), { what: '`from`', words: ['path', 'query'] });
  const type = fields.has('type')
    ? wordOf(yaml, fields.get('type'), { what: 'the type', words: ['string', 'long', 'bool'] })
    : 'string';
  const required = fields.has('required') ? booleanOf(yaml, fields.get('required'), '`required`') : from === 'path';
  if (from === null || type === null || required === null) return null;
  const isParameter = template.parameters.includes(name.value);
  if (from === 'path' && !isParameter) yaml.report(name.offset, `the path has no parameter \`{${name.value}}\``);
  if (from === 'query' && isParameter)
    yaml.report(name.offset, `\`${name.value}\` is a parameter of the path, so it is taken from there`);
  if (from === 'path' && !required)
    yaml.report(name.offset, `\`${name.value}\` is a parameter of the path, so it is always there`);
  return { name: name.value, from, type, required };
}

/** Cedar’s JSON form gives a meaning to `__entity`, `__extn` and `__expr`, so no name begins that way. */
const isArgumentName = (value: string): boolean =>
  value.length <= MAX_NAME_LENGTH && /^[^\p{C}\p{Zl}\p{Zp}]+$/u.test(value) && !value.startsWith('__');
