import { AttributeTypes } from './attributes.ts';
import type { Attributes } from './attributes.ts';
import type { Finding } from './finding.ts';
import { inReadingOrder } from './finding.ts';
import type { BodyRule } from './body.ts';
import type { ArgumentSpec } from './catalog-arguments.ts';
import { descriptorSetsIn } from './catalog-descriptor-sets.ts';
import type { DescriptorFiles } from './catalog-descriptor-sets.ts';
import { remarksOn } from './catalog-remarks.ts';
import type { CatalogRemark } from './catalog-remarks.ts';
import { readCatalog } from './catalog-file.ts';
import type { CatalogEntries, RouteEntry, ServerEntry } from './catalog-file.ts';
import type { ActionHead, Defaults, Risk } from './catalog-head.ts';
import type { MessageEntry } from './catalog-protocols.ts';
import type { MessageType } from './protobuf/descriptor-set.ts';
import type { MessageShape } from './protobuf/message-shape.ts';
import type { ParameterType } from './parameter-type.ts';
import { claimPlaces, externalUrlOf, looseUri, placeRemarks } from './server-places.ts';
import { ServerTable } from './server-table.ts';
import type { ServerMatch } from './server-table.ts';
import { RouteTable } from './route-table.ts';
import type { Placement } from './route-table.ts';
import type { PathTemplate } from './template.ts';
import type { TimeZones } from './time-zones.ts';
import type { SubjectAttributeTypes } from './subject-attribute-types.ts';
import type { Placed, YamlFile } from './yaml-file.ts';
import { openYaml } from './yaml-file.ts';

export type { ArgumentSpec } from './catalog-arguments.ts';
export type { CredentialKind, Risk } from './catalog-head.ts';

/** A downstream server of the catalog. */
export interface Server {
  readonly id: string;
  /** Lower case, without port. Servers that share a host differ in their paths. */
  readonly hosts: ReadonlySet<string>;
  /** Path prefixes of its own on its hosts, such as `/crm`; empty where all paths not claimed by others are its own. */
  readonly paths: readonly string[];
  /** The resource URI its tokens are issued for. Unique, even ignoring letter case and a trailing slash. */
  readonly audience: string;
  /** The URL prefix callers use: the audience, without a suffix that is one of the paths. */
  readonly externalUrl: string;
  /** Whether calls to it carry a transaction token, so that services behind it know the task. */
  readonly transactionToken: boolean;
  /**
   * Whether its router is as exact as Remit about letter case, text after a dot or colon, and trailing slashes. Where it is
   * not, a parameter must not match a lookalike of another route's text.
   */
  readonly exactPaths: boolean;
  /** Attributes of `resource` for policies. */
  readonly attributes: Attributes;
}

/** The protocol of an action. */
export type ActionKind = 'http' | 'mcp' | 'grpc' | 'a2a';

/** An action of the catalog. */
export interface CatalogAction extends Defaults {
  readonly id: string;
  readonly kind: ActionKind;
  readonly risk: Risk;
  readonly server: Server;
  readonly method: string;
  /** `/v1/payments/{id}` */
  readonly template: string;
  /** `GET /v1/payments/{id}`, `/mcp tools/create_ticket`; unique per server. */
  readonly endpoint: string;
  /** Whether it only opens, keeps or lists a session, which any task at the server may do. */
  readonly isSession: boolean;
  /** Path parameters by name: segment index and type. */
  readonly parameters: ReadonlyMap<string, { readonly index: number; readonly type: ParameterType }>;
  readonly args: readonly ArgumentSpec[];
  /** Names of the arguments whose values are recorded with each use; at most 8. */
  readonly recorded: readonly string[];
  /** The body rule of an HTTP route; `unstated` for other kinds. */
  readonly body: BodyRule;
  /** The fields a gRPC method's arguments are read from; `null` where it has none, and for other kinds. */
  readonly message: MessageShape | null;
  /** The message type of a gRPC method; `null` without a descriptor set, and for other kinds. */
  readonly input: MessageType | null;
}

/** An MCP server of the catalog. */
export interface McpServer {
  /** `/mcp`, without parameters. */
  readonly path: string;
  /** Tools by exact name. Argument pointers start at `params.arguments`. */
  readonly tools: ReadonlyMap<string, CatalogAction>;
  /** `initialize`, `ping`, notifications, lists, streams and session end: `<server>.mcp.session`. */
  readonly session: CatalogAction;
  /** `null` where the catalog has none. Its argument is `uri`. */
  readonly resources: CatalogAction | null;
  /** `null` where the catalog has none. Its argument is `name`. */
  readonly prompts: CatalogAction | null;
  /** The action for everything else; `null` where that is `action.unknown`. */
  readonly other: CatalogAction | null;
}

/** An A2A agent of the catalog. */
export interface A2aAgent {
  /** `/a2a`, without parameters. */
  readonly path: string;
  /** Actions by exact JSON-RPC method. Argument pointers start at `params`. */
  readonly methods: ReadonlyMap<string, CatalogAction>;
}

/** The route that a method and a path match. */
export type RouteTarget =
  | { readonly kind: 'http'; readonly action: CatalogAction }
  | { readonly kind: 'grpc'; readonly action: CatalogAction }
  | { readonly kind: 'mcp'; readonly mcp: McpServer }
  | { readonly kind: 'a2a'; readonly a2a: A2aAgent }
  /** The parameter of a route would match a lookalike of another route's text, `of`. */
  | { readonly kind: 'lookalike'; readonly action: CatalogAction; readonly of: string };

/** The action catalog: every action there is. Anything else is `action.unknown`. */
export interface Catalog {
  readonly servers: ReadonlyMap<string, Server>;
  readonly actions: ReadonlyMap<string, CatalogAction>;
  /** The server for a host (lower case, without port) and the decoded segments of a path. */
  readonly serverAt: (host: string, segments: readonly string[]) => ServerMatch<Server>;
  readonly serversByAudience: ReadonlyMap<string, Server>;
  /** All audiences of the catalog. */
  readonly audiences: ReadonlySet<string>;
  /** Time zones whose local time policies can read; empty where the file names none. */
  readonly timeZones: TimeZones;
  /** Attributes of a task's subject that policies can read; empty where the file names none. */
  readonly subjectAttributes: SubjectAttributeTypes;
  /** In reading order. */
  readonly remarks: readonly CatalogRemark[];
  /** The route of a server for a method and path segments. */
  readonly find: (server: Server, method: string, segments: readonly string[]) => RouteTarget | undefined;
}

/** Most recorded arguments of one action, so that the size of a record is bounded. */
const MAX_RECORDED = 8;

/** Most actions; more is a finding. */
export const MAX_ACTIONS = 10_000;

/**
 * Parses `actions.yaml`: servers with hosts, audience, HTTP routes, MCP tools, gRPC and A2A methods. All or nothing: the
 * catalog, or all findings. Limits: 1 MiB, 10,000 actions, no YAML aliases.
 *
 * @param file its name in findings
 * @param descriptorFiles the descriptor sets it names
 */
export function catalogFrom(
  text: string,
  file: string,
  descriptorFiles: DescriptorFiles = new Map(),
): Catalog | { readonly findings: readonly Finding[] } {
  const yaml = openYaml(text, file);
  const entries = readCatalog(yaml, descriptorSetsIn(descriptorFiles));
  const catalog = assemble(entries, yaml);
  return yaml.findings.length > 0 ? { findings: inReadingOrder(yaml.findings) } : catalog;
}

function assemble({ servers: entries, timeZones, subjectAttributes }: CatalogEntries, yaml: YamlFile): Catalog {
  const servers = new Map<string, Server>();
  const actions = new Map<string, CatalogAction>();
  const places = new ServerTable<Server>();
  const placed: ServerEntry[] = [];
  const attributeTypes = new AttributeTypes();
  const audiences = new Map<string, Server>();
  const tables = new Map<Server, RouteTable<RouteTarget>>();
  const remarks: CatalogRemark[] = [];
  for (const entry of entries) {
    const server: Server = {
      id: entry.id.value,
      hosts: new Set(entry.hosts.map((host) => host.value)),
      paths: entry.paths.map((path) => path.value.text),
      audience: entry.audience.value,
      externalUrl: externalUrlOf(entry),
      transactionToken: entry.transactionToken,
      exactPaths: entry.exactPaths,
      attributes: entry.attributes,
    };
    servers.set(server.id, server);
    attributeTypes.check(server.attributes, { id: server.id, offset: entry.id.offset }, yaml);
    if (claimPlaces(places, entry, { server, yaml })) placed.push(entry);
    claimAudience(audiences, entry.audience, { server, yaml });
    const table = new RouteTable<RouteTarget>(server.exactPaths);
    tables.set(server, table);
    addServer(entry, { server, actions, table, attributeTypes, yaml });
    remarks.push(...entry.routes.flatMap((route) => remarksOn(route, table, yaml)));
  }
  remarks.push(...placeRemarks(placed, { servers, places, yaml }));
  if (actions.size > MAX_ACTIONS)
    yaml.report(0, `a catalog has at most ${MAX_ACTIONS} actions, this one ${actions.size}`);
  return {
    servers,
    actions,
    serverAt: (host, segments) => places.find(host, segments),
    serversByAudience: new Map(Array.from(audiences.values(), (server) => [server.audience, server])),
    audiences: new Set(Array.from(audiences.values(), ({ audience }) => audience)),
    timeZones,
    subjectAttributes,
    remarks: inReadingOrder(remarks),
    find: (server, method, segments) => targetOf(tables.get(server)?.find(method, segments)),
  };
}

function targetOf(found: ReturnType<RouteTable<RouteTarget>['find']>): RouteTarget | undefined {
  if (found === undefined || found.takenFor === null || found.target.kind !== 'http') return found?.target;
  return { kind: 'lookalike', action: found.target.action, of: found.takenFor };
}

/** @param claimed keyed by `looseUri` */
function claimAudience(
  claimed: Map<string, Server>,
  { value, offset }: Placed<string>,
  { server, yaml }: { readonly server: Server; readonly yaml: YamlFile },
): void {
  const other = claimed.get(looseUri(value));
  if (other === undefined) claimed.set(looseUri(value), server);
  else if (other.audience === value)
    yaml.report(offset, `the audience \`${value}\` already belongs to the server \`${other.id}\``);
  else
    yaml.report(
      offset,
      `the audience \`${value}\` can be taken for \`${other.audience}\` of the server \`${other.id}\``,
    );
}

interface Into {
  readonly server: Server;
  readonly actions: Map<string, CatalogAction>;
  readonly table: RouteTable<RouteTarget>;
  readonly attributeTypes: AttributeTypes;
  readonly yaml: YamlFile;
}

function addServer(entry: ServerEntry, into: Into): void {
  for (const route of entry.routes) addRoute(route, into);
  for (const method of entry.grpc) {
    const place = { kind: 'grpc', method: 'POST', path: method.path } as const;
    const action = added(method, { ...place, endpoint: `POST ${method.path.value.text}` }, into);
    if (action !== null) placeAt(place, { target: { kind: 'grpc', action }, shown: shownOf(action) }, into);
  }
  if (entry.mcp !== null) addMcp(entry.mcp, into);
  if (entry.a2a !== null) addA2a(entry.a2a, into);
}

function addRoute(route: RouteEntry, into: Into): void {
  const { method, template: path } = route;
  const action = added(route, { kind: 'http', method, path, endpoint: `${method} ${path.value.text}` }, into);
  if (action !== null) placeAt({ method, path }, { target: { kind: 'http', action }, shown: shownOf(action) }, into);
}

const shownOf = ({ endpoint, id }: CatalogAction): string => `\`${endpoint}\` of \`${id}\``;

function addMcp(entry: NonNullable<ServerEntry['mcp']>, into: Into): void {
  const { path } = entry;
  const one = (message: MessageEntry, name = message.name.value): CatalogAction | null => {
    const isSession = message === entry.session;
    return added(
      message,
      { kind: 'mcp', method: 'POST', path, endpoint: `${path.value.text} ${name}`, isSession },
      into,
    );
  };
  const session = one(entry.session);
  const tools = new Map<string, CatalogAction>();
  for (const tool of entry.tools) {
    const action = one(tool, `tools/${tool.name.value}`);
    if (action !== null) tools.set(tool.name.value, action);
  }
  const resources = entry.resources === null ? null : one(entry.resources);
  const prompts = entry.prompts === null ? null : one(entry.prompts);
  const other = entry.other === null ? null : one(entry.other);
  if (session === null) return;
  const mcp: McpServer = { path: path.value.text, tools, session, resources, prompts, other };
  for (const method of ['POST', 'GET', 'DELETE']) {
    placeAt(
      { method, path },
      { target: { kind: 'mcp', mcp }, shown: `\`${method} ${path.value.text}\` of \`mcp\`` },
      into,
    );
  }
}

function addA2a({ path, methods }: NonNullable<ServerEntry['a2a']>, into: Into): void {
  const actions = new Map<string, CatalogAction>();
  for (const entry of methods) {
    const endpoint = `${path.value.text} ${entry.name.value}`;
    const action = added(entry, { kind: 'a2a', method: 'POST', path, endpoint }, into);
    if (action !== null) actions.set(entry.name.value, action);
  }
  const a2a: A2aAgent = { path: path.value.text, methods: actions };
  const shown = `\`POST ${path.value.text}\` of \`a2a\``;
  placeAt({ method: 'POST', path }, { target: { kind: 'a2a', a2a }, shown }, into);
}

interface ActionPlace {
  readonly kind: ActionKind;
  readonly method: string;
  readonly path: Placed<PathTemplate>;
  readonly endpoint: string;
  readonly isSession?: boolean;
}

/** Adds an entry to the catalog as an action; `null` where its id is taken. */
function added(
  entry: ActionHead & Pick<CatalogAction, 'args'> & Partial<Pick<CatalogAction, 'body' | 'message' | 'input'>>,
  { kind, method, path, endpoint, isSession = false }: ActionPlace,
  { server, actions, attributeTypes, yaml }: Into,
): CatalogAction | null {
  const { id, risk, accepts, labels, staticSecrets, attributes, args, body = 'unstated', message = null } = entry;
  const { input = null } = entry;
  if (actions.has(id.value)) {
    yaml.report(id.offset, `the action \`${id.value}\` is defined twice`);
    return null;
  }
  const parameters = path.value.segments.flatMap((segment, index) =>
    'parameter' in segment ? [[segment.parameter, { index, type: segment.type }] as const] : [],
  );
  const recorded = args.flatMap(({ name, record }) => (record === true ? [name] : []));
  if (recorded.length > MAX_RECORDED) {
    const problem = `\`${id.value}\` records ${recorded.length} arguments, more than ${MAX_RECORDED}`;
    yaml.report(id.offset, problem, 'keep `record: true` for those that an auditor asks for');
  }
  attributeTypes.check(attributes, { id: id.value, offset: id.offset }, yaml);
  const action: CatalogAction = {
    id: id.value,
    kind,
    risk,
    server,
    method,
    template: path.value.text,
    endpoint,
    isSession,
    parameters: new Map(parameters),
    accepts,
    labels,
    staticSecrets,
    attributes,
    args,
    recorded,
    body,
    message,
    input,
  };
  actions.set(action.id, action);
  return action;
}

function placeAt(
  { method, path }: { readonly method: string; readonly path: Placed<PathTemplate> },
  placement: Pick<Placement<RouteTarget>, 'target' | 'shown'>,
  { table, yaml }: Into,
): void {
  const collision = table.add({ method, template: path.value, ...placement });
  if (collision === null) return;
  yaml.report(
    path.offset,
    `\`${method} ${path.value.text}\` overlaps with ${collision.collidesWith.shown}`,
    'of two routes that share paths, one must be more specific in every segment',
  );
}
