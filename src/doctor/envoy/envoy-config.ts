import { clusterFrom } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { httpManagerFrom } from './http-manager.ts';
import type { HttpManager, Named } from './http-manager.ts';
import { at, fieldsOf, listAt, textAt, typeOf } from '../tree.ts';

/** A filter chain of a listener. */
export interface FilterChain {
  /** `listener/agents`, with `/chain/N` from the second chain on. */
  readonly where: string;
  /** The fields of its `DownstreamTlsContext`; `null` where it has none. */
  readonly tls: unknown;
  /** Whether it has a transport socket that is neither TLS nor plain: what it authenticates is unknown. */
  readonly hasOtherTransport: boolean;
  readonly http: HttpManager | null;
  /** Clusters that a TCP proxy of this chain forwards to. */
  readonly tcpClusters: readonly string[];
  /** Whether it has the network filter of ext_authz before that. */
  readonly hasTcpCheck: boolean;
}

/** A listener. */
export interface Listener {
  readonly name: string;
  /** `INBOUND`, `OUTBOUND`, or empty. */
  readonly direction: string;
  readonly chains: readonly FilterChain[];
}

/** What an Envoy is configured to do, as far as checks read it. */
export interface EnvoyConfig {
  readonly listeners: readonly Listener[];
  readonly clusters: ReadonlyMap<string, Cluster>;
  /** Listeners and clusters that the control plane sent and Envoy refused, with its message. */
  readonly refused: readonly { readonly where: string; readonly message: string }[];
}

/** The configuration in the answer of `/config_dump?include_eds`. */
export function configFromDump(dump: unknown): EnvoyConfig {
  const entries = (section: string, ...lists: readonly string[]): readonly unknown[] =>
    listAt(dump, 'configs')
      .filter((one) => typeOf(one) === section)
      .flatMap((one) => lists.flatMap((list) => listAt(one, list)));
  const dynamic = entries('ListenersConfigDump', 'dynamic_listeners');
  const states = dynamic.flatMap((one) => presentOf(at(one, 'active_state') ?? at(one, 'warming_state')));
  return configOf({
    listeners: inside('listener', entries('ListenersConfigDump', 'static_listeners').concat(states)),
    clusters: inside(
      'cluster',
      entries('ClustersConfigDump', 'static_clusters', 'dynamic_active_clusters', 'dynamic_warming_clusters'),
    ),
    assignments: byName(
      inside('endpoint_config', entries('EndpointsConfigDump', 'static_endpoint_configs', 'dynamic_endpoint_configs')),
      'cluster_name',
    ),
    named: {
      routes: byName(inside('route_config', entries('RoutesConfigDump', 'dynamic_route_configs')), 'name'),
      filters: byName(inside('ecds_filter', entries('EcdsConfigDump', 'ecds_filters')), 'name'),
    },
    refused: refusedOf(dynamic),
  });
}

/** The configuration in a bootstrap with names as in the proto files (`snake_case`): what is static in it. */
export const configFromBootstrap = (bootstrap: unknown): EnvoyConfig =>
  configOf({
    listeners: listAt(bootstrap, 'static_resources', 'listeners'),
    clusters: listAt(bootstrap, 'static_resources', 'clusters'),
    assignments: new Map(),
    named: { routes: new Map(), filters: new Map() },
    refused: [],
  });

/** Refused listeners, each once: Envoy has an entry without a name too. */
function refusedOf(dynamic: readonly unknown[]): EnvoyConfig['refused'] {
  const messages = dynamic.flatMap((one): readonly (readonly [string, string])[] => {
    const message = textAt(one, 'error_state', 'details');
    const name = textAt(one, 'name') || textAt(one, 'error_state', 'failed_configuration', 'name');
    return message === '' ? [] : [[name, message]];
  });
  const named = messages.filter(([name]) => name !== '');
  return [...new Map(named.length > 0 ? named : messages)].map(([name, message]) => ({
    where: `listener/${name}`,
    message,
  }));
}

const inside = (member: string, values: readonly unknown[]): readonly unknown[] =>
  values.flatMap((one) => presentOf(at(one, member)));

interface Parts {
  readonly listeners: readonly unknown[];
  readonly clusters: readonly unknown[];
  readonly assignments: ReadonlyMap<string, unknown>;
  readonly named: Named;
  readonly refused: EnvoyConfig['refused'];
}

const configOf = ({ assignments, clusters, listeners, named, refused }: Parts): EnvoyConfig => ({
  listeners: listeners.map((listener) => listenerFrom(listener, named)),
  clusters: new Map(
    clusters.map((cluster) => {
      const name = textAt(cluster, 'name');
      const service = textAt(cluster, 'eds_cluster_config', 'service_name');
      return [name, clusterFrom(cluster, assignments.get(service) ?? assignments.get(name))];
    }),
  ),
  refused,
});

function listenerFrom(listener: unknown, named: Named): Listener {
  const name = textAt(listener, 'name') || addressText(at(listener, 'address', 'socket_address'));
  const chains = [...listAt(listener, 'filter_chains'), ...presentOf(at(listener, 'default_filter_chain'))];
  return {
    name,
    direction: textAt(listener, 'traffic_direction'),
    chains: chains.map((chain, index) =>
      chainFrom(chain, { where: `listener/${name}${index === 0 ? '' : `/chain/${index}`}`, named }),
    ),
  };
}

const addressText = (socket: unknown): string => `${textAt(socket, 'address')}:${String(at(socket, 'port_value'))}`;

function chainFrom(chain: unknown, { where, named }: { readonly where: string; readonly named: Named }): FilterChain {
  const transport = at(chain, 'transport_socket', 'typed_config');
  const kind = typeOf(transport);
  const filters = listAt(chain, 'filters').map((filter) => at(filter, 'typed_config'));
  const manager = filters.find((filter) => typeOf(filter) === 'HttpConnectionManager');
  const proxies = filters.filter((filter) => typeOf(filter) === 'TcpProxy').map(fieldsOf);
  return {
    where,
    tls: kind === 'DownstreamTlsContext' ? fieldsOf(transport) : null,
    hasOtherTransport: !['', 'DownstreamTlsContext', 'RawBuffer'].includes(kind),
    http: manager === undefined ? null : httpManagerFrom(fieldsOf(manager), { where, named }),
    tcpClusters: proxies.flatMap(tcpClustersOf),
    hasTcpCheck: filters.some((filter) => typeOf(filter) === 'ExtAuthz'),
  };
}

const tcpClustersOf = (proxy: unknown): readonly string[] =>
  [textAt(proxy, 'cluster')]
    .filter((name) => name !== '')
    .concat(listAt(proxy, 'weighted_clusters', 'clusters').map((one) => textAt(one, 'name')));

const presentOf = <T>(value: T | undefined): readonly T[] => (value === undefined ? [] : [value]);

const byName = (values: readonly unknown[], member: string): ReadonlyMap<string, unknown> =>
  new Map(values.map((value) => [textAt(value, member), value]));
