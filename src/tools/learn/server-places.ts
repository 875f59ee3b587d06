import type { Catalog, Server } from '../../core/action/catalog/catalog.ts';
import type { SeenRoute } from './seen/path-trie.ts';
import type { SeenCalls } from './seen/seen-calls.ts';
import type { SeenEndpoint, SeenHost } from './seen/seen-host.ts';

/** A part of a host that becomes a server or is added to one: the whole host, or a further MCP or A2A endpoint. */
export interface Place {
  readonly key: string;
  readonly host: string;
  /** The only path of a further endpoint. */
  readonly path: string | null;
  readonly mcp: SeenEndpoint | null;
  readonly a2a: SeenEndpoint | null;
  readonly routes: readonly SeenRoute[];
  readonly operations: readonly (readonly [string, SeenCalls])[];
  readonly grpc: readonly (readonly [string, SeenCalls])[];
  /** The server of the catalog that it belongs to; `null` for a new server. */
  readonly owner: Server | null;
}

/**
 * The places of a host. What is at a path of a server of the catalog belongs to that server; the rest is a new server. A server
 * has one endpoint of each protocol: the endpoint in the catalog, or that with most calls. Each further endpoint becomes a server
 * with its own path.
 */
export function placesOf(host: string, seen: SeenHost, catalog: Catalog | null): readonly Place[] {
  const ownerOf = (path: string): Server | null => ownerIn(catalog, host, path);
  const routes = Map.groupBy(seen.routes, ({ template, calls }) => ownerOf(calls.path === '' ? template : calls.path));
  const operations = Map.groupBy(seen.operations, ([, calls]) => ownerOf(calls.path));
  const grpc = Map.groupBy(seen.grpc, ([method]) => ownerOf(`/${method}`));
  const endpoints = Map.groupBy(seen.endpoints, ({ path }) => ownerOf(path));
  const owners = new Set([...routes.keys(), ...operations.keys(), ...grpc.keys(), ...endpoints.keys()]);
  return [...owners].flatMap((owner) => {
    const all = endpoints.get(owner) ?? [];
    const [mcp, ...mcps] = endpointsOf('mcp', all, { owner, catalog });
    const [a2a, ...a2as] = endpointsOf('a2a', all, { owner, catalog });
    const whole: Place = {
      key: `https://${host}`,
      host,
      path: null,
      mcp: mcp ?? null,
      a2a: a2a ?? null,
      routes: routes.get(owner) ?? [],
      operations: operations.get(owner) ?? [],
      grpc: grpc.get(owner) ?? [],
      owner,
    };
    const further = mcps.concat(a2as).filter((endpoint) => endpoint !== null);
    return [whole].concat(further.map((endpoint) => furtherPlace(host, endpoint)));
  });
}

const furtherPlace = (host: string, endpoint: SeenEndpoint): Place => ({
  key: `https://${host}${endpoint.path}#${endpoint.protocol}`,
  host,
  path: endpoint.path,
  mcp: endpoint.protocol === 'mcp' ? endpoint : null,
  a2a: endpoint.protocol === 'a2a' ? endpoint : null,
  routes: [],
  operations: [],
  grpc: [],
  owner: null,
});

/** The endpoints of a protocol, that of the server first; `null` is first if the server's endpoint was not called. */
function endpointsOf(
  protocol: SeenEndpoint['protocol'],
  endpoints: readonly SeenEndpoint[],
  { owner, catalog }: { readonly owner: Server | null; readonly catalog: Catalog | null },
): readonly (SeenEndpoint | null)[] {
  const sorted = endpoints
    .filter((endpoint) => endpoint.protocol === protocol)
    .toSorted((one, other) => callsTo(other) - callsTo(one));
  const known = [...(catalog?.actions.values() ?? [])].find(
    ({ kind, server }) => kind === protocol && server === owner,
  );
  if (known === undefined) return sorted;
  const own = sorted.find(({ path }) => path === known.template) ?? null;
  return [own, ...sorted.filter((endpoint) => endpoint !== own)];
}

const callsTo = ({ parts }: SeenEndpoint): number =>
  [...parts.values()].reduce((sum, calls) => sum + calls.all.count, 0);

function ownerIn(catalog: Catalog | null, host: string, path: string): Server | null {
  const found = catalog?.serverAt(host, path.slice(1).split('/'));
  return found?.kind === 'server' || found?.kind === 'lookalike' ? found.server : null;
}
