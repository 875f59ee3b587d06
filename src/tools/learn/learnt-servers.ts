import type { Server } from '../../core/action/catalog/catalog.ts';
import type { PolicySet } from '../../core/policy/loading/load.ts';
import { actionIds } from '../policy/import/action-ids.ts';
import type { Entry } from '../policy/import/entry.ts';
import { riskOfName, riskOfRoute } from './guessed-risk.ts';
import { learntArguments } from './learnt-arguments.ts';
import type { LearntAction, LearntServer, EntrySection } from './learnt-action.ts';
import type { ApiDescriptions } from './descriptions/api-descriptions.ts';
import type { KnownCalls } from './beside/known-calls.ts';
import { OPEN_GUESS, openGuesses } from './beside/open-guesses.ts';
import type { Observations } from './seen/observations.ts';
import type { SeenRoute } from './seen/path-trie.ts';
import { safeIds, shortDigest } from './safe-name.ts';
import { SeenCalls } from './seen/seen-calls.ts';
import type { EndpointPart, SeenEndpoint } from './seen/seen-host.ts';
import { placesOf } from './server-places.ts';
import type { Place } from './server-places.ts';

/** An action before it has its id. */
type Nameless = Omit<LearntAction, 'id' | 'server'>;

/**
 * The servers that calls showed, with their actions: entries of API descriptions if there are any, otherwise guesses. Actions at
 * a server of the existing catalog are added to that server.
 */
export function learntServers(
  { hosts, known }: Observations,
  described: ApiDescriptions,
  beside: Pick<PolicySet, 'catalog' | 'policies'> | null = null,
): readonly LearntServer[] {
  const catalog = beside?.catalog ?? null;
  const places = [...hosts]
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .flatMap(([host, seen]) => placesOf(host, seen, catalog));
  const wanted = safeIds(
    places.flatMap(({ key, owner }) => (owner === null ? [key] : [])),
    (key) => key.replace(/^https:\/\//, '').replace(/^([^./]+)\.[^/]*/, '$1'),
  );
  const taken = catalog === null ? [] : [...catalog.actions.keys()];
  const learnt = places.map((place) => {
    const id = wanted.get(place.key) ?? place.key;
    const free = catalog?.servers.has(id) === true ? `${id}-${shortDigest(place.key)}` : id;
    return serverOf(place, { id: place.owner?.id ?? free, described, taken });
  });
  return withKnown(learnt, known, beside === null ? new Set() : openGuesses(beside));
}

/**
 * The servers, with the called actions of the existing catalog added.
 * @param guesses the actions whose permits nobody has decided
 */
function withKnown(
  learnt: readonly LearntServer[],
  known: ReadonlyMap<string, KnownCalls>,
  guesses: ReadonlySet<string>,
): readonly LearntServer[] {
  const servers = new Map(learnt.map((server) => [server.id, server]));
  for (const calls of known.values()) {
    const { id, risk, server } = calls.action;
    const action: LearntAction = {
      id,
      server: server.id,
      section: 'known',
      name: id,
      risk,
      calls: calls.calls,
      entry: {},
      undecided: null,
      ...(guesses.has(id) ? { doubt: OPEN_GUESS } : {}),
      isDescribed: false,
      known: calls,
    };
    const { actions, ...rest } = servers.get(server.id) ?? emptyServer(server);
    servers.set(server.id, { ...rest, actions: [...actions, action] });
  }
  return [...servers.values()];
}

const emptyServer = (known: Server): LearntServer => ({
  id: known.id,
  host: [...known.hosts][0] ?? '',
  path: null,
  mcpPath: null,
  a2aPath: null,
  descriptorSet: null,
  known,
  actions: [],
});

interface ServerIds {
  readonly id: string;
  readonly described: ApiDescriptions;
  /** Ids of actions that are not available. */
  readonly taken: readonly string[];
}

function serverOf(
  { host, path, mcp, a2a, routes, operations, grpc, owner }: Place,
  { id, described, taken }: ServerIds,
): LearntServer {
  const found: Nameless[] = [
    ...routes.filter((route) => !isStreamOf(mcp, route)).map(routeAction),
    ...operations.map(([operation, calls]) => operationAction(operation, calls, described)),
    ...Array.from(mcpPartsOf(mcp, routes), ([part, calls]) => mcpAction(part, calls, described)),
    ...Array.from(a2a?.parts ?? [], ([part, calls]) => a2aAction(part, calls)),
    ...grpc.map(([method, calls]) => grpcAction(method, calls, described)),
  ].filter((one) => one !== null);
  const session = `${id}.mcp.session`;
  const named = found.filter(({ section }) => section !== 'session');
  const { ids } = actionIds(
    named.map((one) => ({ key: keyOf(one), name: nameOf(one) })),
    { prefix: `${id}.`, taken: [...taken, session] },
  );
  const idOf = (one: Nameless): string => (one.section === 'session' ? session : (ids.get(keyOf(one)) ?? ''));
  const actions = found.map((one): LearntAction => Object.assign({}, one, { server: id, id: idOf(one) }));
  return {
    id,
    host,
    path,
    mcpPath: mcp?.path ?? null,
    a2aPath: a2a?.path ?? null,
    descriptorSet: actions.some(({ section, isDescribed }) => section === 'grpc' && isDescribed)
      ? described.descriptorSet
      : null,
    known: owner,
    actions,
  };
}

/** Whether a route is the stream of an MCP server, or the end of its session: a call without a message. */
const isStreamOf = (mcp: SeenEndpoint | null, { method, template }: SeenRoute): boolean =>
  mcp !== null && template === mcp.path && (method === 'GET' || method === 'DELETE');

/** The parts of an MCP server, with its streams in the session. */
function mcpPartsOf(mcp: SeenEndpoint | null, routes: readonly SeenRoute[]): ReadonlyMap<EndpointPart, SeenCalls> {
  if (mcp === null) return new Map();
  const session = new SeenCalls();
  const known = mcp.parts.get('session');
  for (const calls of [
    ...(known === undefined ? [] : [known]),
    ...routes.filter((route) => isStreamOf(mcp, route)).map((route) => route.calls),
  ])
    session.merge(calls);
  return session.agents.size === 0 ? mcp.parts : new Map([...mcp.parts, ['session', session]]);
}

const keyOf = ({ section, name }: Nameless): string => `${section} ${name}`;

/** The words of an id: those of a path without its parameters’ types. */
const nameOf = ({ section, name }: Nameless): string =>
  section === 'routes' ? name.split('/').map(parameterName).join('/') : name;

const parameterName = (piece: string): string =>
  piece.startsWith('{') ? piece.slice(1, piece.includes(':') ? piece.indexOf(':') : -1) : piece;

const argsIn = (args: Entry): Entry => (Object.keys(args).length === 0 ? {} : { args });

/** The names of the members of bodies or arguments, nested ones too. */
const memberNames = ({ members }: SeenCalls): readonly string[] =>
  [...members.keys()].map((way) => way.split('\0').at(-1) ?? '');

function routeAction({ method, template, calls, isUnknown, isGuess }: SeenRoute): Nameless {
  const parameters = [...template.matchAll(/\{([^:}]+)/g)].map(([, name]) => name ?? '');
  const isBodied = method === 'POST' || method === 'PUT' || method === 'PATCH';
  const { args } = isBodied ? learntArguments(calls, [...parameters, ...calls.query]) : { args: {} };
  const ofBody = Object.fromEntries(
    Object.entries(args).map(([name, entry]) => [name, { from: 'body', ...Object(entry) }]),
  );
  return {
    section: 'routes',
    name: `${method} ${template}`,
    risk: riskOfRoute(method, template, memberNames(calls)),
    calls,
    entry: { method, path: template, ...argsIn(ofBody) },
    undecided: isUnknown
      ? 'a parameter of its path is of unknown kind'
      : calls.isRpc
        ? 'its JSON-RPC methods are not told apart'
        : null,
    ...(isGuess ? { doubt: 'a parameter of its path is guessed from a few values' } : {}),
    isDescribed: false,
  };
}

function operationAction(id: string, calls: SeenCalls, { operations }: ApiDescriptions): Nameless | null {
  const described = operations.get(id);
  if (described === undefined) return null;
  const { action: _, risk, ...entry } = described;
  const name = `${String(entry['method'])} ${String(entry['path'])}`;
  return { section: 'routes', name, risk: riskFrom(risk), calls, entry, undecided: null, isDescribed: true };
}

const riskFrom = (risk: unknown): LearntAction['risk'] => (risk === 'low' || risk === 'medium' ? risk : 'high');

/** Methods that can name any resource or prompt: a person decides which of them may be read. */
const FAMILIES: ReadonlyMap<string, EntrySection> = new Map([
  ['method resources/read', 'resources'],
  ['method prompts/get', 'prompts'],
]);

function mcpAction(part: EndpointPart, calls: SeenCalls, described: ApiDescriptions): Nameless | null {
  if (part === 'session')
    return { section: 'session', name: part, risk: 'low', calls, entry: {}, undecided: null, isDescribed: false };
  const family = FAMILIES.get(part);
  if (family !== undefined)
    return {
      section: family,
      name: family,
      risk: 'medium',
      calls,
      entry: {},
      undecided: 'which of them may be read is not told apart',
      isDescribed: false,
    };
  if (!part.startsWith('tool ')) return null;
  const name = part.slice('tool '.length);
  const tool = described.tools.get(name);
  if (tool !== undefined) {
    const { action: _, risk, ...entry } = tool;
    return { section: 'tools', name, risk: riskFrom(risk), calls, entry, undecided: null, isDescribed: true };
  }
  const { args, isClosed } = learntArguments(calls, []);
  const entry = { ...(isClosed ? { otherArguments: 'deny' } : {}), ...argsIn(args) };
  return {
    section: 'tools',
    name,
    risk: riskOfName(name, memberNames(calls)),
    calls,
    entry,
    undecided: null,
    isDescribed: false,
  };
}

function a2aAction(part: EndpointPart, calls: SeenCalls): Nameless | null {
  if (part === 'send')
    return { section: 'send', name: 'send', risk: 'medium', calls, entry: {}, undecided: null, isDescribed: false };
  if (!part.startsWith('method ')) return null;
  const name = part.slice('method '.length);
  const risk = riskOfName(name.replace(/^.*\//, ''));
  return { section: 'methods', name, risk, calls, entry: {}, undecided: null, isDescribed: false };
}

function grpcAction(name: string, calls: SeenCalls, { methods }: ApiDescriptions): Nameless {
  const method = methods.get(name);
  const { action: _, risk: __, ...entry } = method ?? {};
  // A description of methods has no risks: the name is the better guess.
  const risk = riskOfName(name.slice(name.indexOf('/') + 1));
  return { section: 'grpc', name, risk, calls, entry, undecided: null, isDescribed: method !== undefined };
}
