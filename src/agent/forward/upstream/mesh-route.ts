import { isObject } from '../../../core/runtime/fields.ts';

/** What Envoy's admin interface answers to `/config_dump?resource=…`: route tables, and clusters. */
export interface MeshDump {
  readonly routes: unknown;
  readonly clusters: unknown;
}

/**
 * Why calls to a host may leave the pod's Envoy in plaintext, or reach another host than its routes say; `null` if each of its clusters speaks TLS
 * to every endpoint. A cluster that chooses by endpoint (`transport_socket_matches`, Istio's automatic mTLS) counts as plaintext: the next
 * endpoint may have no sidecar.
 *
 * @param authority host and port, lower case, as `tools.demo.svc.cluster.local:80`
 */
export function clearWay(
  { routes, clusters }: MeshDump,
  { host, port }: { readonly host: string; readonly port: number },
): string | null {
  const tables = entries(routes, 'route_config').filter(({ name }) => isOfPort(name, port));
  const hosts = tables.flatMap((table) => list(table['virtual_hosts'])).filter((one) => isFor(one, { host, port }));
  if (hosts.length === 0)
    return `it has no route for \`${host}\` at port ${port}: name the port of its Service \`http\`, and call it by the name that the mesh has`;
  const targets = hosts.flatMap(clustersOf);
  const open = targets.find((name) => name === null || !isTls(name, clusters));
  if (open === undefined) return targets.length === 0 ? `it routes \`${host}\` to nothing` : null;
  return open === null
    ? `its routes for \`${host}\` choose where a call goes by the call`
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

const isFor = ({ domains }: Fields, { host, port }: { readonly host: string; readonly port: number }): boolean =>
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
