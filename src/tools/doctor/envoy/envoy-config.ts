import { addressesOf, clusterFrom } from './reach/cluster.ts';
import type { Cluster } from './reach/cluster.ts';
import { httpManagerFrom } from './http-manager.ts';
import type { HttpManager, Named } from './http-manager.ts';
import { transportFrom } from './reach/transport.ts';
import type { Transport } from './reach/transport.ts';
import { at, fieldsOf, isFalse, listAt, textAt, typeOf } from '../tree.ts';

/** A filter chain of a listener. */
export interface FilterChain {
  /** `listener/agents`, with `/chain/N` from the second chain on. */
  readonly where: string;
  readonly transport: Transport;
  readonly http: HttpManager | null;
  /** Clusters that a TCP proxy of this chain forwards to. */
  readonly tcpClusters: readonly string[];
  /** Its network filters, as in the configuration. */
  readonly filters: readonly unknown[];
  /** All of it, as in the configuration. */
  readonly fields: unknown;
}

/** A listener. */
export interface Listener {
  readonly name: string;
  /** `INBOUND`, `OUTBOUND`, or empty. */
  readonly direction: string;
  /**
   * Its address: `HOST:PORT`, `unix:PATH`, or `internal:NAME` for an internal listener; empty if it binds no port (`bind_to_port: false`).
   */
  readonly address: string;
  /** Its further addresses. */
  readonly furtherAddresses: readonly string[];
  /** As in the configuration. */
  readonly fields: unknown;
  readonly chains: readonly FilterChain[];
}

/** What an Envoy is configured to do, as far as checks read it. */
export interface EnvoyConfig {
  readonly listeners: readonly Listener[];
  readonly clusters: ReadonlyMap<string, Cluster>;
  /** Listeners that the control plane sent and Envoy refused, with its message. Refused clusters and routes are not read. */
  readonly refused: readonly { readonly where: string; readonly message: string }[];
  /** Names of listeners of an older configuration whose connections have not ended. */
  readonly draining: readonly string[];
  /** The bootstrap, as in the configuration. */
  readonly bootstrap: unknown;
  /** Secrets that arrived by SDS, and static secrets, by name. */
  readonly secrets: ReadonlyMap<string, unknown>;
  /** The same once listeners and clusters that warm are in force; `null` if none warms. */
  readonly next: EnvoyConfig | null;
}

/** The configuration in the answer of `/config_dump?include_eds`. */
export function configFromDump(dump: unknown): EnvoyConfig {
  const dumped = (section: string): readonly unknown[] =>
    listAt(dump, 'configs').filter((one) => typeOf(one) === section);
  const entries = (section: string, ...lists: readonly string[]): readonly unknown[] =>
    dumped(section).flatMap((one) => lists.flatMap((list) => listAt(one, list)));
  const dynamic = entries('ListenersConfigDump', 'dynamic_listeners');
  const fixed = entries('ListenersConfigDump', 'static_listeners');
  const active = entries('ClustersConfigDump', 'static_clusters', 'dynamic_active_clusters');
  const warming = entries('ClustersConfigDump', 'dynamic_warming_clusters');
  const listenersBy = (first: string, otherwise: string): readonly unknown[] =>
    inside('listener', [...fixed, ...dynamic.flatMap((one) => presentOf(at(one, first) ?? at(one, otherwise)))]);
  const shared = {
    assignments: byName(
      inside('endpoint_config', entries('EndpointsConfigDump', 'static_endpoint_configs', 'dynamic_endpoint_configs')),
      'cluster_name',
    ),
    named: {
      routes: byName(inside('route_config', entries('RoutesConfigDump', 'dynamic_route_configs')), 'name'),
      filters: byName(inside('ecds_filter', entries('EcdsConfigDump', 'ecds_filters')), 'name'),
    },
    refused: refusedOf(dynamic),
    draining: dynamic.filter((one) => at(one, 'draining_state') !== undefined).map((one) => textAt(one, 'name')),
    bootstrap: inside('bootstrap', dumped('BootstrapConfigDump'))[0],
    secrets: byName(inside('secret', entries('SecretsConfigDump', 'static_secrets', 'dynamic_active_secrets')), 'name'),
  };
  const isWarming =
    warming.length > 0 ||
    dynamic.some((one) => ['active_state', 'warming_state'].every((state) => at(one, state) !== undefined));
  // Of two clusters of one name the last counts.
  const next = isWarming
    ? configOf({
        ...shared,
        listeners: listenersBy('warming_state', 'active_state'),
        clusters: inside('cluster', [...active, ...warming]),
        next: null,
      })
    : null;
  return configOf({
    ...shared,
    listeners: listenersBy('active_state', 'warming_state'),
    clusters: inside('cluster', [...warming, ...active]),
    next,
  });
}

/**
 * The configuration in a bootstrap with names as in the proto files (`snake_case`): what is static in it, and the resources that it takes from
 * files.
 */
export function configFromBootstrap(bootstrap: unknown, delivered: readonly unknown[] = []): EnvoyConfig {
  const isStatic = (list: string): readonly unknown[] => listAt(bootstrap, 'static_resources', list);
  const ofType = (type: string): readonly unknown[] => delivered.filter((one) => typeOf(one) === type).map(fieldsOf);
  return configOf({
    listeners: [...isStatic('listeners'), ...ofType('Listener')],
    clusters: [...isStatic('clusters'), ...ofType('Cluster')],
    assignments: byName(ofType('ClusterLoadAssignment'), 'cluster_name'),
    named: {
      routes: byName(ofType('RouteConfiguration'), 'name'),
      filters: byName(ofType('TypedExtensionConfig'), 'name'),
    },
    refused: [],
    draining: [],
    bootstrap,
    secrets: byName([...isStatic('secrets'), ...ofType('Secret')], 'name'),
    next: null,
  });
}

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

interface Parts extends Pick<EnvoyConfig, 'refused' | 'draining' | 'bootstrap' | 'secrets' | 'next'> {
  readonly listeners: readonly unknown[];
  readonly clusters: readonly unknown[];
  readonly assignments: ReadonlyMap<string, unknown>;
  readonly named: Named;
}

const configOf = ({ assignments, clusters, listeners, named, ...others }: Parts): EnvoyConfig => ({
  ...others,
  listeners: listeners.map((listener) => listenerFrom(listener, named)),
  clusters: new Map(
    clusters.map((cluster) => {
      const name = textAt(cluster, 'name');
      const service = textAt(cluster, 'eds_cluster_config', 'service_name');
      return [name, clusterFrom(cluster, assignments.get(service) ?? assignments.get(name))];
    }),
  ),
});

function listenerFrom(listener: unknown, named: Named): Listener {
  const name = textAt(listener, 'name') || addressText(at(listener, 'address', 'socket_address'));
  const chains = [...listAt(listener, 'filter_chains'), ...presentOf(at(listener, 'default_filter_chain'))];
  const [address = '', ...furtherAddresses] = boundTo(listener, name);
  return {
    name,
    direction: textAt(listener, 'traffic_direction'),
    address,
    furtherAddresses,
    fields: listener,
    chains: chains.map((chain, index) =>
      chainFrom(chain, { where: `listener/${name}${index === 0 ? '' : `/chain/${index}`}`, named }),
    ),
  };
}

/** The addresses of a listener. An internal listener has none but its name: only this Envoy connects to it. */
function boundTo(listener: unknown, name: string): readonly string[] {
  if (isFalse(at(listener, 'bind_to_port'))) return [];
  const isInternal = at(listener, 'internal_listener') !== undefined && at(listener, 'address') === undefined;
  return isInternal ? [`internal:${name}`] : addressesOf(listener);
}

const addressText = (socket: unknown): string => `${textAt(socket, 'address')}:${String(at(socket, 'port_value'))}`;

function chainFrom(chain: unknown, { where, named }: { readonly where: string; readonly named: Named }): FilterChain {
  const filters = listAt(chain, 'filters').map((filter) => at(filter, 'typed_config'));
  const manager = filters.find((filter) => typeOf(filter) === 'HttpConnectionManager');
  const proxies = filters.filter((filter) => typeOf(filter) === 'TcpProxy').map(fieldsOf);
  return {
    where,
    transport: transportFrom(at(chain, 'transport_socket', 'typed_config')),
    http: manager === undefined ? null : httpManagerFrom(fieldsOf(manager), { where, named }),
    tcpClusters: proxies.flatMap(tcpClustersOf),
    filters: listAt(chain, 'filters'),
    fields: chain,
  };
}

const tcpClustersOf = (proxy: unknown): readonly string[] =>
  [textAt(proxy, 'cluster')]
    .filter((name) => name !== '')
    .concat(listAt(proxy, 'weighted_clusters', 'clusters').map((one) => textAt(one, 'name')));

const presentOf = <T>(value: T | undefined): readonly T[] => (value === undefined ? [] : [value]);

const byName = (values: readonly unknown[], member: string): ReadonlyMap<string, unknown> =>
  new Map(values.map((value) => [textAt(value, member), value]));
