/** The admin interface of the Envoy, where Istio's is. */
export const ADMIN = 'http://127.0.0.1:15000';

const typed = (type: string, fields: object = {}): object => ({
  '@type': `type.googleapis.com/envoy.${type}`,
  ...fields,
});
const at = (address: string, port: number): object => ({ socket_address: { address, port_value: port } });
const resources = (...all: readonly object[]): string => JSON.stringify({ resources: all });

const tls = {
  name: 'envoy.transport_sockets.tls',
  typed_config: typed('extensions.transport_sockets.tls.v3.UpstreamTlsContext', {
    common_tls_context: { alpn_protocols: ['http/1.1'] },
  }),
};
const raw = {
  name: 'envoy.transport_sockets.raw_buffer',
  typed_config: typed('extensions.transport_sockets.raw_buffer.v3.RawBuffer'),
};
const sockets = {
  tls: { transport_socket: tls },
  clear: {},
  // What istiod writes for automatic mTLS: by the metadata of each endpoint.
  matches: {
    transport_socket_matches: [
      { name: 'tlsMode-istio', match: { tlsMode: 'istio' }, transport_socket: tls },
      { name: 'tlsMode-disabled', match: {}, transport_socket: raw },
    ],
  },
};

/** The configuration of a sidecar with one service in the mesh, with the names that istiod gives. */
export const meshFiles = ({
  host,
  address,
  folder,
}: {
  readonly host: string;
  readonly address: string;
  readonly folder: string;
}) => {
  const cluster = `outbound|80||${host}`;
  const fromFile = (name: string): object => ({
    path_config_source: { path: `${folder}/${name}` },
    resource_api_version: 'V3',
  });
  const tcp = (to: string): object => ({
    name: 'envoy.filters.network.tcp_proxy',
    typed_config: typed('extensions.filters.network.tcp_proxy.v3.TcpProxy', { stat_prefix: to, cluster: to }),
  });
  const manager = typed('extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
    stat_prefix: 'outbound',
    rds: { route_config_name: '80', config_source: fromFile('rds.json') },
    http_filters: [
      { name: 'envoy.filters.http.router', typed_config: typed('extensions.filters.http.router.v3.Router') },
    ],
  });
  return {
    clusters: (way: keyof typeof sockets): string =>
      resources(
        typed('config.cluster.v3.Cluster', {
          name: cluster,
          type: 'STATIC',
          connect_timeout: '5s',
          load_assignment: {
            cluster_name: cluster,
            endpoints: [{ lb_endpoints: [{ endpoint: { address: at(address, way === 'tls' ? 8443 : 80) } }] }],
          },
          ...sockets[way],
        }),
        typed('config.cluster.v3.Cluster', {
          name: 'PassthroughCluster',
          type: 'ORIGINAL_DST',
          lb_policy: 'CLUSTER_PROVIDED',
          connect_timeout: '5s',
        }),
      ),
    routes: resources(
      typed('config.route.v3.RouteConfiguration', {
        name: '80',
        virtual_hosts: [
          {
            name: 'allow_any',
            domains: ['*'],
            routes: [{ match: { prefix: '/' }, route: { cluster: 'PassthroughCluster' } }],
          },
          {
            name: `${host}:80`,
            domains: [host, 'tools.demo'],
            routes: [{ match: { prefix: '/' }, route: { cluster } }],
          },
        ],
      }),
    ),
    listeners: resources(
      typed('config.listener.v3.Listener', {
        name: 'virtualOutbound',
        traffic_direction: 'OUTBOUND',
        use_original_dst: true,
        address: at('0.0.0.0', 15_001),
        filter_chains: [{ filters: [tcp('PassthroughCluster')] }],
      }),
      typed('config.listener.v3.Listener', {
        name: '0.0.0.0_80',
        traffic_direction: 'OUTBOUND',
        bind_to_port: false,
        address: at('0.0.0.0', 80),
        filter_chains: [
          { filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] },
        ],
      }),
    ),
    bootstrap: JSON.stringify({
      node: { id: 'sidecar~10.1.0.2~agent.agents~agents.svc.cluster.local', cluster: 'agent' },
      admin: { address: at('127.0.0.1', 15_000) },
      dynamic_resources: { cds_config: fromFile('cds.json'), lds_config: fromFile('lds.json') },
    }),
  };
};
