import { isObject } from '../../../core/runtime/fields.ts';
import type { Problem } from '../../../core/runtime/problem.ts';

/** Bounds the URL of the question about them. */
const MAX_CLUSTERS = 64;

/** A host and the port of its URL, as calls name them: `tools.demo.svc.cluster.local` and 80. */
export interface MeshPlace {
  readonly host: string;
  readonly port: number;
}

/**
 * The clusters to which Envoy routes the calls to a host, or why they are not known. A host has 64 at most.
 *
 * @param routes what Envoy's admin interface answers to `/config_dump?resource=dynamic_route_configs`
 */
export function routedClusters(routes: unknown, { host, port }: MeshPlace): readonly string[] | Problem {
  const tables = entries(routes, 'route_config').filter(({ name }) => isOfPort(name, port));
  const hosts = tables.flatMap((table) => list(table['virtual_hosts'])).filter((one) => isFor(one, { host, port }));
  if (hosts.length === 0)
    return {
      problem: `it has no route for \`${host}\` at port ${port}: name the port of its Service \`http\`, and call it by the name that the mesh has`,
    };
  const names = new Set(hosts.flatMap(clustersOf));
  if (names.size === 0) return { problem: `it routes \`${host}\` to nothing` };
  if (names.size > MAX_CLUSTERS) return { problem: `it routes \`${host}\` to more than ${MAX_CLUSTERS} clusters` };
  const known = [...names].filter((name) => name !== null);
  return known.length < names.size ? { problem: `its routes for \`${host}\` choose the cluster by the call` } : known;
}

/**
 * Why calls to a host may leave Envoy in plaintext by one of its clusters; `null` if each speaks TLS to every endpoint. A cluster that chooses by
 * endpoint (`transport_socket_matches`, Istio's automatic mTLS) counts as plaintext: the next endpoint may have no sidecar.
 *
 * @param clusters what Envoy's admin interface answers to `/config_dump?resource=dynamic_active_clusters`
 */
export function clearWay(names: readonly string[], clusters: unknown, { host }: MeshPlace): string | null {
  const open = names.find((name) => !isTls(name, clusters));
  return open === undefined
    ? null
    : `it may call \`${open}\` in clear: a DestinationRule for \`${host}\` with \`trafficPolicy.tls.mode: ISTIO_MUTUAL\` permits TLS alone`;
}

type Fields = Readonly<Record<string, unknown>>;

const list = (value: unknown): readonly Fields[] => (Array.isArray(value) ? value.filter(isObject) : []);

const fieldsOf = (value: unknown): Fields => (isObject(value) ? value : {});

/** The resources in an answer. */
const entries = (dump: unknown, member: string): readonly Fields[] =>
  list(fieldsOf(dump)['configs']).map((one) => fieldsOf(one[member]));

/** istiod names a table by its port, or by a service and its port. */
const isOfPort = (name: unknown, port: number): boolean =>
  typeof name === 'string' && (name === String(port) || name.endsWith(`:${port}`));

const isFor = ({ domains }: Fields, { host, port }: MeshPlace): boolean =>
  Array.isArray(domains) && [host, `${host}:${port}`].some((name) => domains.includes(name));

/** The clusters that the routes of a virtual host lead to; `null` for a cluster that the call chooses. */
function clustersOf(host: Fields): readonly (string | null)[] {
  if (host['matcher'] !== undefined) return [null];
  return [...mirrors(host), ...list(host['routes']).flatMap(ofRoute)];
}

function ofRoute(one: Fields): readonly (string | null)[] {
  if (!isObject(one['route']))
    return one['redirect'] === undefined && one['direct_response'] === undefined ? [null] : [];
  const { route } = one;
  const weighted = list(fieldsOf(route['weighted_clusters'])['clusters']).map(({ name }) => name);
  const named = weighted.length > 0 ? weighted : [route['cluster']];
  return [...named.map((name) => (typeof name === 'string' && name !== '' ? name : null)), ...mirrors(route)];
}

const mirrors = (of: Fields): readonly (string | null)[] =>
  list(of['request_mirror_policies']).map(({ cluster }) => (typeof cluster === 'string' ? cluster : null));

function isTls(name: string, dump: unknown): boolean {
  const found = entries(dump, 'cluster').filter((cluster) => cluster['name'] === name);
  return (
    found.length > 0 &&
    found.every(
      (cluster) => cluster['transport_socket_matches'] === undefined && isTlsSocket(cluster['transport_socket']),
    )
  );
}

const TLS = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext';

const isTlsSocket = (socket: unknown): boolean => fieldsOf(fieldsOf(socket)['typed_config'])['@type'] === TLS;
