import { configFromBootstrap } from '../../../src/tools/doctor/envoy/envoy-config.ts';
import type { EnvoyFacts } from '../../../src/tools/doctor/envoy/envoy-facts.ts';
import { fromProtoJson } from '../../../src/tools/doctor/proto-json.ts';

const NETWORK = 'type.googleapis.com/envoy.extensions.filters.network';
const HTTP = 'type.googleapis.com/envoy.extensions.filters.http';

/** The filter that asks Remit, with further fields. */
export const askingFilter = (fields: object = {}): object => ({
  name: 'envoy.filters.http.ext_authz',
  typed_config: {
    '@type': `${HTTP}.ext_authz.v3.ExtAuthz`,
    grpc_service: { envoy_grpc: { cluster_name: 'remit' } },
    ...fields,
  },
});

/** The filter that forwards calls. */
export const routerFilter = {
  name: 'envoy.filters.http.router',
  typed_config: { '@type': `${HTTP}.router.v3.Router` },
};

/** The parts of a bootstrap that a test gives; all others are as they should be. */
export interface Parts {
  /** Of the only virtual host, for all domains. */
  readonly routes?: readonly object[];
  /** The virtual hosts, instead of that one. */
  readonly hosts?: readonly object[];
  /** Further members of the route table. */
  readonly table?: object;
  readonly filters?: readonly object[];
  /** Further members of the connection manager, of its filter chain and of its listener. */
  readonly manager?: object;
  readonly chain?: object;
  readonly listener?: object;
  /** Listeners beside that of the parts. */
  readonly beside?: readonly object[];
  readonly clusters?: readonly object[];
  readonly secrets?: readonly object[];
  /** Further members of the bootstrap. */
  readonly bootstrap?: object;
}

/** A cluster with an endpoint. */
export const clusterAt = (name: string, address: string, port: number): object => ({
  name,
  type: 'STATIC',
  load_assignment: {
    endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address, port_value: port } } } }] }],
  },
});

/** A connection manager, as the `Any` of a network filter. */
const managerOf = ({
  filters = [askingFilter(), routerFilter],
  routes = [],
  hosts = [{ name: 'all', domains: ['*'], routes }],
  manager = {},
  table = {},
}: Parts): object => ({
  '@type': `${NETWORK}.http_connection_manager.v3.HttpConnectionManager`,
  stat_prefix: 'agents',
  route_config: { name: 'agents', virtual_hosts: hosts, ...table },
  http_filters: filters,
  ...manager,
});

/** A listener with one connection manager. */
export const listenerOf = (name: string, parts: Parts): object => ({
  name,
  address: { socket_address: { address: '0.0.0.0', port_value: 8443 } },
  filter_chains: [{ filters: [{ name: 'http', typed_config: managerOf(parts) }], ...parts.chain }],
  ...parts.listener,
});

/** A listener that proxies connections to a cluster. */
export const tcpListenerTo = (name: string, cluster: string): object => ({
  name,
  address: { socket_address: { address: '0.0.0.0', port_value: 9000 } },
  filter_chains: [
    { filters: [{ name: 'tcp', typed_config: { '@type': `${NETWORK}.tcp_proxy.v3.TcpProxy`, cluster } }] },
  ],
});

/** The facts of a bootstrap with one listener, as the doctor reads them from a file. */
export const envoyFactsOf = (parts: Parts): EnvoyFacts => ({
  prefix: '',
  config: configFromBootstrap(
    fromProtoJson({
      static_resources: {
        listeners: [listenerOf('agents', parts), ...(parts.beside ?? [])],
        clusters: parts.clusters ?? [],
        secrets: parts.secrets ?? [],
      },
      ...parts.bootstrap,
    }),
  ),
  live: null,
  sockets: new Map(),
  files: new Map(),
  remitCluster: null,
});
