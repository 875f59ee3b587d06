import { parse, stringify } from 'yaml';

const typed = (name: string) => ({ '@type': `type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.${name}` });
const EXT_AUTHZ = 'envoy.filters.http.ext_authz';

const cluster = (name: string, address: object) => ({
  name,
  type: 'STATIC',
  connect_timeout: '0.25s',
  load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
});

/** Routes of the files server, each with a mistake. */
const routes = [
  {
    match: { path: '/v1/files/open' },
    route: { cluster: 'files' },
    typed_per_filter_config: { [EXT_AUTHZ]: { ...typed('ExtAuthzPerRoute'), disabled: true } },
  },
  {
    match: { path: '/v1/files/open-direct' },
    direct_response: { status: 404 },
    typed_per_filter_config: { [EXT_AUTHZ]: { ...typed('ExtAuthzPerRoute'), disabled: true } },
  },
  {
    match: { path: '/v1/files/dead' },
    route: { cluster: 'files' },
    typed_per_filter_config: {
      [EXT_AUTHZ]: {
        ...typed('ExtAuthzPerRoute'),
        check_settings: { grpc_service: { envoy_grpc: { cluster_name: 'nobody' }, timeout: '0.3s' } },
      },
    },
  },
  {
    match: { path: '/v1/files/flaky' },
    route: { cluster: 'files', retry_policy: { retry_on: '5xx', num_retries: 2 } },
  },
  { match: { path: '/v1/files/down' }, route: { cluster: 'down' } },
];

/** Everything an operator can get wrong in one configuration, and a path that is missing from the access log. */
export function carelessEnvoy(shipped: string): string {
  const config = parse(shipped);
  const manager = config.static_resources.listeners[0].filter_chains[0].filters[0].typed_config;
  manager.access_log_options.access_log_flush_interval = '0.5s';
  manager.access_log[0].typed_config.common_config.buffer_flush_interval = '0.1s';
  manager.access_log[0].filter = {
    header_filter: { header: { name: ':path', string_match: { exact: '/v1/files/quiet' }, invert_match: true } },
  };
  manager.http_filters[2].typed_config.failure_mode_allow = true;
  manager.route_config.virtual_hosts[1].routes.unshift(...routes);
  const remit = config.static_resources.clusters[0];
  config.static_resources.clusters.push(cluster('down', { socket_address: { address: '127.0.0.1', port_value: 1 } }), {
    ...cluster('nobody', { pipe: { path: '/nonexistent/check.sock' } }),
    typed_extension_protocol_options: remit.typed_extension_protocol_options,
  });
  return stringify(config);
}
