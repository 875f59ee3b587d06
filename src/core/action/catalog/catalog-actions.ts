import { SEND_METHODS } from '../a2a/a2a-methods.ts';
import { AttributeTypes } from './attributes.ts';
import { namesTo } from './catalog-arguments.ts';
import { carriesNothing } from './catalog-carries.ts';
import type { RouteEntry, ServerEntry } from './catalog-file.ts';
import type { Placement } from './route-table.ts';
import type { ActionHead } from './catalog-head.ts';
import type { MessageEntry } from './catalog-protocols.ts';
import { RouteTable } from './route-table.ts';
import type { PathTemplate } from './template.ts';
import { elsewhere } from './written-at.ts';
import type { WrittenAt } from './written-at.ts';
import type { Placed, YamlFile } from './yaml-file.ts';
import type { Server, CatalogAction, McpServer, A2aAgent, RouteTarget, ActionKind } from './catalog.ts';

/** Most recorded arguments of one action, so that the size of a record is bounded. */
const MAX_RECORDED = 8;

/** What the actions of a server are added to. */
interface Into {
  readonly server: Server;
  readonly actions: Map<string, CatalogAction>;
  /** Where each action is written. */
  readonly actionPlaces: Map<string, WrittenAt>;
  readonly table: RouteTable<RouteTarget>;
  readonly attributeTypes: AttributeTypes;
  readonly yaml: YamlFile;
}

/** Adds the actions of a server and their routes. An id or a route that is taken is a finding. */
export function addActions(entry: ServerEntry, into: Into): void {
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
  const { path, denials, describesLimits } = entry;
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
  const pins = new Map<string, string>();
  for (const tool of entry.tools) {
    const action = one(tool, `tools/${tool.name.value}`);
    if (action === null) continue;
    tools.set(tool.name.value, action);
    if (typeof tool.pin === 'string') pins.set(tool.name.value, tool.pin);
  }
  const resources = entry.resources === null ? null : one(entry.resources);
  const prompts = entry.prompts === null ? null : one(entry.prompts);
  const roots = entry.roots === null ? null : one(entry.roots);
  const other = entry.other === null ? null : one(entry.other);
  if (session === null) return;
  const { meta, query } = entry;
  const all = [...tools.values(), resources, prompts, roots, other].filter((action) => action !== null);
  const asking = all.filter(({ carries: { inputs, hasTasks } }) => inputs.size > 0 || hasTasks);
  const mcp: McpServer = {
    path: path.value.text,
    tools,
    pins,
    session,
    resources,
    prompts,
    roots,
    other,
    meta,
    query,
    asking: new Map(asking.map((action) => [action.id, action])),
    isLowRisk: all.every(({ risk }) => risk === 'low'),
    describesLimits,
    denials,
  };
  for (const method of ['POST', 'GET', 'DELETE']) {
    placeAt(
      { method, path },
      { target: { kind: 'mcp', mcp }, shown: `\`${method} ${path.value.text}\` of \`mcp\`` },
      into,
    );
  }
}

function addA2a({ path, methods, send, denials }: NonNullable<ServerEntry['a2a']>, into: Into): void {
  const actions = new Map<string, CatalogAction>();
  const add = (entry: MessageEntry, names: readonly string[]): void => {
    const endpoint = `${path.value.text} ${entry.name.value}`;
    const action = added(entry, { kind: 'a2a', method: 'POST', path, endpoint }, into);
    if (action !== null) for (const name of names) actions.set(name, action);
  };
  for (const entry of methods) add(entry, [entry.name.value]);
  if (send !== null) add(send, SEND_METHODS);
  const a2a: A2aAgent = { path: path.value.text, methods: actions, denials };
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

/** Adds an entry to the catalog as an action; `null` if its id is taken. */
function added(
  entry: ActionHead &
    Pick<MessageEntry, 'args' | 'takesOthers' | 'carries' | 'deniesOthers'> &
    Partial<Pick<CatalogAction, 'body' | 'message' | 'input'>>,
  { kind, method, path, endpoint, isSession = false }: ActionPlace,
  { server, actions, actionPlaces, attributeTypes, yaml }: Into,
): CatalogAction | null {
  const { id, risk, accepts, labels, staticSecrets, attributes, args, body = 'unstated', message = null } = entry;
  const { input = null, takesOthers, carries = carriesNothing, deniesOthers = !takesOthers } = entry;
  if (actions.has(id.value)) {
    const first = elsewhere(actionPlaces.get(id.value), yaml);
    yaml.report(id.offset, `the action \`${id.value}\` is defined twice${first === '' ? '' : `: first${first}`}`);
    return null;
  }
  actionPlaces.set(id.value, { yaml, offset: id.offset });
  const parameters = path.value.segments.flatMap((segment, index) =>
    'parameter' in segment ? [[segment.parameter, { index, type: segment.type }] as const] : [],
  );
  const recorded = new Map(args.flatMap((spec) => (spec.record === true ? [[spec.name, namesTo(spec)] as const] : [])));
  if (recorded.size > MAX_RECORDED) {
    const problem = `\`${id.value}\` records ${recorded.size} arguments, more than ${MAX_RECORDED}`;
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
    takesOthers,
    isClosed: risk === 'high' || deniesOthers,
    carries,
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
