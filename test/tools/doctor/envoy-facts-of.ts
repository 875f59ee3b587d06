import { configFromBootstrap } from '../../../src/tools/doctor/envoy/envoy-config.ts';
import type { EnvoyFacts } from '../../../src/tools/doctor/envoy/envoy-facts.ts';

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

interface Parts {
  /** Of the only virtual host, for all domains. */
  readonly routes?: readonly object[];
  /** The virtual hosts, instead of that one. */
  readonly hosts?: readonly object[];
  /** Further members of the route table. */
  readonly table?: object;
  readonly filters?: readonly object[];
  readonly clusters?: readonly object[];
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
  table = {},
}: Parts): object => ({
  '@type': `${NETWORK}.http_connection_manager.v3.HttpConnectionManager`,
  stat_prefix: 'agents',
  route_config: { name: 'agents', virtual_hosts: hosts, ...table },
  http_filters: filters,
});

/** The facts of a bootstrap with one listener, as the doctor reads them from a file. */
export const envoyFactsOf = (parts: Parts): EnvoyFacts => ({
  prefix: '',
  config: configFromBootstrap({
    static_resources: {
      listeners: [
        {
          name: 'agents',
          address: { socket_address: { address: '0.0.0.0', port_value: 8443 } },
          filter_chains: [{ filters: [{ name: 'http', typed_config: managerOf(parts) }] }],
        },
      ],
      clusters: parts.clusters ?? [],
    },
    ...parts.bootstrap,
  }),
  live: null,
  sockets: new Map(),
  files: new Map(),
  remitCluster: null,
});
