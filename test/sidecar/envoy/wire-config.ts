/** Addresses of one run. */
export interface WireAddresses {
  readonly adminSocket: string;
  readonly checkSocket: string;
  readonly upstreamPort: number;
}

/** The largest body that Envoy passes on, in all listeners. */
export const MAX_REQUEST_BYTES = 65_536;

/**
 * The listeners, by how they send checks. `raw` has header lines and bodies as bytes; `merged` has both as text; `open` is raw with
 * `failure_mode_allow`, which no operator should use. `partial` is raw and passes the beginning of too long a body; `mcp` is raw behind
 * Envoy's own MCP filter (since 1.37), with its metadata.
 */
export type ListenerName = 'raw' | 'merged' | 'open' | 'mcp' | 'partial';

const typed = (name: string) => ({ '@type': `type.googleapis.com/${name}` });

const endpoint = (address: object) => [{ lb_endpoints: [{ endpoint: { address } }] }];

const listener = (name: ListenerName) => ({
  name,
  address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
  filter_chains: [
    {
      filters: [
        {
          name: 'envoy.filters.network.http_connection_manager',
          typed_config: {
            ...typed('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
            stat_prefix: name,
            // Nothing is normalised, and a client's own XFCC passes: the worst case for Remit.
            forward_client_cert_details: 'ALWAYS_FORWARD_ONLY',
            delayed_close_timeout: '0.05s',
            upgrade_configs: [{ upgrade_type: 'websocket' }],
            access_log: [
              {
                name: 'envoy.access_loggers.stdout',
                typed_config: {
                  ...typed('envoy.extensions.access_loggers.stream.v3.StdoutAccessLog'),
                  log_format: {
                    json_format: {
                      status: '%RESPONSE_CODE%',
                      details: '%RESPONSE_CODE_DETAILS%',
                      metadata: '%DYNAMIC_METADATA(envoy.filters.http.ext_authz)%',
                    },
                  },
                },
              },
            ],
            http_filters: [
              ...(name === 'mcp'
                ? [{ name: 'envoy.filters.http.mcp', typed_config: typed('envoy.extensions.filters.http.mcp.v3.Mcp') }]
                : []),
              {
                name: 'envoy.filters.http.ext_authz',
                typed_config: {
                  ...typed('envoy.extensions.filters.http.ext_authz.v3.ExtAuthz'),
                  transport_api_version: 'V3',
                  grpc_service: { envoy_grpc: { cluster_name: 'remit' }, timeout: '2s' },
                  failure_mode_allow: name === 'open',
                  status_on_error: { code: 'BadGateway' },
                  include_peer_certificate: true,
                  include_tls_session: true,
                  encode_raw_headers: name !== 'merged',
                  ...(name === 'mcp' ? { metadata_context_namespaces: ['envoy.filters.http.mcp', 'mcp_proxy'] } : {}),
                  validate_mutations: true,
                  decoder_header_mutation_rules: { disallow_is_error: true },
                  with_request_body: {
                    max_request_bytes: MAX_REQUEST_BYTES,
                    allow_partial_message: name === 'partial',
                    pack_as_bytes: name !== 'merged',
                  },
                },
              },
              {
                name: 'envoy.filters.http.router',
                typed_config: typed('envoy.extensions.filters.http.router.v3.Router'),
              },
            ],
            route_config: {
              virtual_hosts: [
                { name: 'all', domains: ['*'], routes: [{ match: { prefix: '' }, route: { cluster: 'upstream' } }] },
              ],
            },
          },
        },
      ],
    },
  ],
});

/** The configuration of one run, as JSON, which is also YAML. */
export const wireConfig = (
  { adminSocket, checkSocket, upstreamPort }: WireAddresses,
  listeners: readonly ListenerName[] = ['raw', 'merged', 'open'],
): string =>
  JSON.stringify({
    admin: { address: { pipe: { path: adminSocket } } },
    static_resources: {
      listeners: listeners.map(listener),
      clusters: [
        {
          name: 'remit',
          connect_timeout: '0.25s',
          type: 'STATIC',
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
              ...typed('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
          health_checks: [
            {
              timeout: '1s',
              interval: '0.2s',
              no_traffic_interval: '0.2s',
              unhealthy_threshold: 1,
              healthy_threshold: 1,
              grpc_health_check: { service_name: 'envoy.service.auth.v3.Authorization' },
            },
          ],
          load_assignment: { cluster_name: 'remit', endpoints: endpoint({ pipe: { path: checkSocket } }) },
        },
        {
          name: 'upstream',
          connect_timeout: '1s',
          type: 'STATIC',
          load_assignment: {
            cluster_name: 'upstream',
            endpoints: endpoint({ socket_address: { address: '127.0.0.1', port_value: upstreamPort } }),
          },
        },
      ],
    },
  });
