import { bool, oneOf, textLike } from '../../runtime/fields.ts';
import type { Attributes } from './attributes.ts';
import { BODY_RULES, isMethodWithBody } from '../http/body.ts';
import type { BodyRule } from '../http/body.ts';
import { routeArguments } from './catalog-arguments.ts';
import type { ArgumentSpec } from './catalog-arguments.ts';
import { actionHead, DEFAULT_KEYS, defaultsFrom, HEAD_KEYS, NO_DEFAULTS, takesOthersIn } from './catalog-head.ts';
import type { ActionHead, Defaults } from './catalog-head.ts';
import type { DescriptorSets } from './catalog-descriptor-sets.ts';
import { grpcEntries } from './catalog-grpc.ts';
import type { GrpcEntry } from './catalog-grpc.ts';
import { a2aEntry, mcpEntry } from './catalog-protocols.ts';
import type { A2aEntry, McpEntry } from './catalog-protocols.ts';
import type { SubjectAttributeType } from '../../task/subject-attributes.ts';
import type { FileValues } from './named-values.ts';
import { subjectAttributeTypesFrom } from './subject-attribute-types.ts';
import { pathTemplateFrom } from './template.ts';
import type { PathTemplate, TemplateSegment } from './template.ts';
import { timeZonesFrom } from './time-zones.ts';
import { entriesOf, yamlFields, itemsOf, leafOf, placedOf, valueOf } from './yaml-file.ts';
import type { Placed, PlacedNode, YamlFile } from './yaml-file.ts';

/** The content of one file of the catalog. */
export interface CatalogEntries {
  readonly servers: readonly ServerEntry[];
  readonly timeZones: FileValues<string>;
  readonly subjectAttributes: FileValues<SubjectAttributeType>;
}

/** One server entry, each value with its place. */
export interface ServerEntry {
  /** The file it is written in. */
  readonly yaml: YamlFile;
  readonly id: Placed<string>;
  readonly hosts: readonly Placed<string>[];
  /** Prefixes of its paths; empty if the whole host is this server's. */
  readonly paths: readonly Placed<PathTemplate>[];
  readonly audience: Placed<string>;
  /** Whether calls to it carry a transaction token of Remit. Default false. */
  readonly transactionToken: boolean;
  /** Whether its router distinguishes what others ignore, such as letter case. Default false. */
  readonly exactPaths: boolean;
  readonly attributes: Attributes;
  readonly routes: readonly RouteEntry[];
  readonly mcp: McpEntry | null;
  readonly grpc: readonly GrpcEntry[];
  readonly a2a: A2aEntry | null;
}

/** One route entry. */
export interface RouteEntry extends ActionHead {
  readonly method: string;
  readonly template: Placed<PathTemplate>;
  readonly args: readonly ArgumentSpec[];
  readonly takesOthers: boolean;
  readonly body: BodyRule;
  /** Whether `body` is given. */
  readonly saysBody: boolean;
}

const SERVER_ID = /^[a-z][a-z0-9_-]{0,62}$/;
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;
const HOST_LABEL = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';
// oxlint-disable-next-line remit/linear-expression -- the operator’s text, with a `.` between bounded repetitions
const HOST = new RegExp(String.raw`^${HOST_LABEL}(\.${HOST_LABEL})*$`);
const IPV6_HOST = /^\[[0-9a-f:.]{2,45}\]$/;
const MAX_PATHS = 16;
const MAX_HOST_LENGTH = 253;
const MAX_AUDIENCE_LENGTH = 2048;

/** Reads the entries of one file of the catalog. Invalid entries are findings and left out. */
export function readCatalog(yaml: YamlFile, sets: DescriptorSets): CatalogEntries {
  const none = { yaml, node: undefined, values: new Map<string, never>() };
  if (yaml.findings.length > 0) return { servers: [], timeZones: none, subjectAttributes: none };
  const fields = yamlFields(yaml, yaml.root, {
    what: 'the catalog',
    required: ['servers'],
    optional: ['timeZones', 'subjectAttributes'],
  });
  const servers = fields.get('servers');
  const entries = servers === undefined ? [] : entriesOf(yaml, servers, '`servers`');
  const [zones, attributes] = [fields.get('timeZones'), fields.get('subjectAttributes')];
  return {
    servers: entries.flatMap(([id, node]) => serverEntry(yaml, { id, node }, sets) ?? []),
    timeZones: { yaml, node: zones, values: timeZonesFrom(yaml, zones) },
    subjectAttributes: { yaml, node: attributes, values: subjectAttributeTypesFrom(yaml, attributes) },
  };
}

function serverEntry(
  yaml: YamlFile,
  { id, node }: { readonly id: Placed<string>; readonly node: PlacedNode },
  sets: DescriptorSets,
): ServerEntry | null {
  if (!SERVER_ID.test(id.value)) {
    yaml.report(
      id.offset,
      `the server id \`${id.value}\` must be lower-case letters, digits, \`-\` and \`_\`, at most 63`,
    );
  }
  const fields = yamlFields(yaml, node, {
    what: 'a server',
    required: ['hosts', 'audience'],
    optional: ['paths', 'routes', 'mcp', 'grpc', 'a2a', 'transactionToken', 'exactPaths', ...DEFAULT_KEYS],
  });
  const hosts = hostsOf(yaml, fields.get('hosts'));
  const audience = placedOf(yaml, fields.get('audience'), { what: 'the audience', reader: audienceText });
  const defaults = defaultsFrom(yaml, fields, NO_DEFAULTS);
  const [routes, mcp, grpc, a2a] = [fields.get('routes'), fields.get('mcp'), fields.get('grpc'), fields.get('a2a')];
  if (routes === undefined && mcp === undefined && grpc === undefined && a2a === undefined)
    yaml.report(node.offset, 'a server has at least one of `routes`, `mcp`, `grpc` and `a2a`');
  const items = routes === undefined ? [] : itemsOf(yaml, routes, '`routes`');
  const isSet = (key: 'transactionToken' | 'exactPaths'): boolean =>
    leafOf(yaml, fields.get(key), { what: `\`${key}\``, reader: bool }) === true;
  const entry = {
    yaml,
    id,
    hosts,
    attributes: defaults.attributes,
    paths: pathsOf(yaml, fields.get('paths')),
    transactionToken: isSet('transactionToken'),
    exactPaths: isSet('exactPaths'),
    routes: items.flatMap((item) => routeEntry(yaml, item, defaults) ?? []),
    mcp: mcp === undefined ? null : mcpEntry(yaml, mcp, { id: id.value, defaults }),
    grpc: grpc === undefined ? [] : grpcEntries(yaml, grpc, { defaults, sets }),
    a2a: a2a === undefined ? null : a2aEntry(yaml, a2a, defaults),
  };
  return audience === null ? null : { ...entry, audience };
}

function hostsOf(yaml: YamlFile, node: PlacedNode | undefined): readonly Placed<string>[] {
  if (node === undefined) return [];
  const items = itemsOf(yaml, node, '`hosts`');
  if (items.length === 0) yaml.report(node.offset, 'a server has at least one host');
  return items.flatMap((item) => placedOf(yaml, item, { what: 'the host', reader: hostText }) ?? []);
}

function pathsOf(yaml: YamlFile, node: PlacedNode | undefined): readonly Placed<PathTemplate>[] {
  if (node === undefined) return [];
  const items = itemsOf(yaml, node, '`paths`');
  if (items.length === 0 || items.length > MAX_PATHS)
    yaml.report(node.offset, `\`paths\` has 1 to ${MAX_PATHS} paths`, 'leave it out if all of the host is one server');
  return items.flatMap((item) => {
    const template = templateOf(yaml, item);
    if (template === null || template.value.segments.every(isWholeLiteral)) return template ?? [];
    const problem = `the path \`${template.value.text}\` of a server must be text between slashes, without a parameter`;
    yaml.report(
      item.offset,
      problem,
      'write it without a slash at the end; leave `paths` out for every path of the host',
    );
    return [];
  });
}

const isWholeLiteral = (segment: TemplateSegment): boolean => 'literal' in segment && segment.literal !== '';

/** Whether a text is a lower-case host name, or an address, without port and wildcard. */
export const isHost = (value: string): boolean =>
  value.length <= MAX_HOST_LENGTH && (HOST.test(value) || IPV6_HOST.test(value));

/** RFC 8707 section 2: an absolute URI without a fragment. It is compared as text, so it must be canonical. */
function isAudience(value: string): boolean {
  if (value.length > MAX_AUDIENCE_LENGTH || !value.startsWith('https://') || !URL.canParse(value)) return false;
  const url = new URL(value);
  const isCanonical = url.href === value || url.href === `${value}/`;
  return isCanonical && !value.includes('#') && url.username === '' && url.password === '';
}

const hostText = textLike('a lower-case host name without port and without wildcard', isHost);
const audienceText = textLike('an absolute `https` URI without user and fragment', isAudience);

function routeEntry(yaml: YamlFile, node: PlacedNode, defaults: Defaults): RouteEntry | null {
  const fields = yamlFields(yaml, node, {
    what: 'a route',
    required: [...HEAD_KEYS, 'method', 'path'],
    optional: ['args', 'otherArguments', 'body', ...DEFAULT_KEYS],
  });
  const head = actionHead(yaml, fields, defaults);
  const method = valueOf(yaml, fields.get('method'), { what: 'the method', reader: oneOf(METHODS) });
  const template = templateOf(yaml, fields.get('path'));
  const bodyIsRead = method === null || isMethodWithBody(method);
  const args =
    template === null ? [] : routeArguments(yaml, fields.get('args'), { template: template.value, bodyIsRead });
  const written = fields.get('body');
  const takesOthers = takesOthersIn(yaml, fields.get('otherArguments'));
  const body = bodyRuleOf(yaml, written, { args, bodyIsRead, takesOthers });
  if (head === null || method === null || template === null) return null;
  return { ...head, method, template, args, takesOthers, body, saysBody: written !== undefined };
}

function bodyRuleOf(
  yaml: YamlFile,
  node: PlacedNode | undefined,
  {
    args,
    bodyIsRead,
    takesOthers,
  }: { readonly args: readonly ArgumentSpec[]; readonly bodyIsRead: boolean; readonly takesOthers: boolean },
): BodyRule {
  const isRead = args.some(({ from }) => from === 'body');
  const isNone = !takesOthers || args.some(({ from }) => from === 'query');
  const otherwise = isRead ? 'json' : isNone ? 'none' : 'unstated';
  if (node === undefined) return otherwise;
  const word = valueOf(yaml, node, { what: '`body`', reader: oneOf(BODY_RULES) });
  if (word === null) return otherwise;
  if (!bodyIsRead) yaml.report(node.offset, 'a `GET` or `HEAD` has no body to declare');
  if (word === 'opaque' && !takesOthers)
    yaml.report(
      node.offset,
      'with `otherArguments: deny` the body is `json` or `none`: nothing is known of a body that is not read',
    );
  if (isRead && word !== 'json') yaml.report(node.offset, 'an argument comes from the body, so it is `json`');
  return word;
}

const pathText = textLike('a path template', () => true);

function templateOf(yaml: YamlFile, node: PlacedNode | undefined): Placed<PathTemplate> | null {
  const text = placedOf(yaml, node, { what: 'the path', reader: pathText });
  if (text === null) return null;
  const template = pathTemplateFrom(text.value);
  if (!('problem' in template)) return { value: template, offset: text.offset };
  yaml.report(text.offset, `the path \`${text.value.slice(0, 100)}\` is not a template: ${template.problem}`);
  return null;
}
