import { parse } from 'yaml';

/** A value of a configuration in a test. */
// oxlint-disable-next-line typescript/no-explicit-any -- YAML of the shipped file, whose shape the tests of Envoy hold
type Yaml = any;

/** One listener of the shipped configuration, its own clusters, and their parts that faults change. */
export interface Broken {
  readonly listener: Yaml;
  readonly chain: Yaml;
  readonly tls: Yaml;
  readonly manager: Yaml;
  readonly filter: Yaml;
  readonly host: Yaml;
  /** The cluster of Remit of this listener alone. */
  readonly remit: Yaml;
  readonly clusters: Yaml[];
  readonly listeners: Yaml[];
}

/** A fault in the configuration of Envoy. */
export interface EnvoyFault {
  readonly name: string;
  readonly break: (parts: Broken) => void;
  /** What the doctor must say about the listener, its routes and its cluster, and no other error or warning. */
  readonly found: readonly string[];
  /** Whether a call without a token then passes. */
  readonly isOpen: boolean;
}

const EXT_AUTHZ = 'envoy.filters.http.ext_authz';
const typed = (name: string): object => ({ '@type': `type.googleapis.com/envoy.${name}` });
const perRoute = { ...typed('extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute') };
const upstreams = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const lua = {
  name: 'envoy.filters.http.lua',
  typed_config: { ...typed('extensions.filters.http.lua.v3.Lua'), default_source_code: { inline_string: 'x = 1' } },
};
const percent = (numerator: number): object => ({ default_value: { numerator, denominator: 'HUNDRED' } });

/** An RBAC filter as istiod writes it for an AuthorizationPolicy. */
const rbac = (rules: object): object => ({
  name: 'envoy.filters.http.rbac',
  typed_config: { ...typed('extensions.filters.http.rbac.v3.RBAC'), ...rules },
});

const gatedBy = ({ filter, manager }: Broken, permission: object): void => {
  filter.filter_enabled_metadata = {
    filter: 'envoy.filters.http.rbac',
    path: [{ key: 'istio_ext_authz_shadow_effective_policy_id' }],
    value: { string_match: { prefix: 'istio-ext-authz' } },
  };
  manager.http_filters.unshift(
    rbac({
      shadow_rules: {
        action: 'DENY',
        policies: {
          'istio-ext-authz-tools': { permissions: [permission], principals: [{ and_ids: { ids: [{ any: true }] } }] },
        },
      },
      shadow_rules_stat_prefix: 'istio_ext_authz_',
    }),
  );
};

/** The faults by which a call without a token passes. */
const OPEN: ReadonlySet<string> = new Set([
  'filter-missing',
  'filter-disabled',
  'route-disabled',
  'host-disabled',
  'table-disabled',
  'enabled-for-none',
  'shadow-mode',
  'passed-unchecked',
]);

const fault = (name: string, change: EnvoyFault['break'], ...found: readonly string[]): EnvoyFault => ({
  name,
  break: change,
  found,
  isOpen: OPEN.has(name),
});

/** Every fault of the configuration that a running Envoy accepts. */
export const ENVOY_FAULTS: readonly EnvoyFault[] = [
  fault('as-shipped', () => undefined),
  fault('filter-missing', ({ manager }) => void manager.http_filters.splice(1, 1), 'envoy.never-asked'),
  fault(
    'cluster-by-header',
    ({ host, manager }) => {
      manager.http_filters.splice(1, 1);
      manager.route_config.virtual_hosts = [host];
      host.routes = [{ match: { prefix: '/' }, route: { cluster_header: 'x-cluster' } }];
    },
    'envoy.never-asked',
  ),
  fault(
    'match-tree-disabled',
    ({ host }) => {
      const [route] = host.routes;
      delete host.routes;
      host.matcher = {
        on_no_match: { action: { name: 'route', typed_config: { ...typed('config.route.v3.Route'), ...route } } },
      };
      host.typed_per_filter_config = { [EXT_AUTHZ]: { ...perRoute, disabled: true } };
    },
    'envoy.disabled-on-route',
  ),
  fault(
    'asks-another',
    ({ filter }) => void (filter.grpc_service.envoy_grpc.cluster_name = 'files'),
    'envoy.never-asked',
  ),
  fault('filter-disabled', ({ manager }) => void (manager.http_filters[1].disabled = true), 'envoy.disabled-on-route'),
  fault(
    'route-disabled',
    ({ host }) => void (host.routes[0].typed_per_filter_config = { [EXT_AUTHZ]: { ...perRoute, disabled: true } }),
    'envoy.disabled-on-route',
  ),
  fault(
    'host-disabled',
    ({ host }) => void (host.typed_per_filter_config = { [EXT_AUTHZ]: { ...perRoute, disabled: true } }),
    'envoy.disabled-on-route',
  ),
  fault(
    'table-disabled',
    ({ manager }) =>
      void (manager.route_config.typed_per_filter_config = {
        [EXT_AUTHZ]: { ...typed('config.route.v3.FilterConfig'), disabled: true },
      }),
    'envoy.disabled-on-route',
  ),
  fault('enabled-again', ({ host, manager }) => {
    manager.http_filters[1].disabled = true;
    for (const one of [host, manager.route_config])
      one.typed_per_filter_config = { [EXT_AUTHZ]: { ...typed('config.route.v3.FilterConfig'), config: {} } };
  }),
  fault(
    'route-asks-another',
    ({ host }) =>
      void (host.routes[0].typed_per_filter_config = {
        [EXT_AUTHZ]: {
          ...perRoute,
          check_settings: { grpc_service: { envoy_grpc: { cluster_name: 'files' }, timeout: '0.5s' } },
        },
      }),
    'envoy.disabled-on-route',
  ),
  fault('enabled-for-none', ({ filter }) => void (filter.filter_enabled = percent(0)), 'envoy.sampled'),
  fault('enabled-for-some', ({ filter }) => void (filter.filter_enabled = percent(50)), 'envoy.sampled'),
  fault('enabled-for-all', ({ filter }) => void (filter.filter_enabled = percent(100))),
  fault('denied-if-disabled', ({ filter }) => {
    filter.filter_enabled = percent(0);
    filter.deny_at_disable = { default_value: true, runtime_key: 'remit.unused' };
  }),
  fault(
    'second-chain',
    ({ listener, chain, manager }) => {
      const other = structuredClone(chain);
      other.filter_chain_match = { server_names: ['open.acme.test'] };
      other.filters[0].typed_config.http_filters.splice(1, 1);
      listener.filter_chains.push(other);
      manager.stat_prefix = 'second_chain';
    },
    'envoy.never-asked',
  ),
  fault('shadow-mode', ({ filter }) => void (filter.shadow_mode = true), 'envoy.shadow-mode'),
  fault(
    'asked-twice',
    ({ manager }) => {
      const second = structuredClone(manager.http_filters[1]);
      second.name = 'again';
      manager.http_filters.splice(1, 0, second);
    },
    'envoy.asked-twice',
  ),
  fault(
    'istio-paths',
    (parts) => gatedBy(parts, { and_rules: { rules: [{ url_path: { path: { prefix: '/v1/' } } }] } }),
    'envoy.conditional',
  ),
  fault('istio-all', (parts) => gatedBy(parts, { and_rules: { rules: [{ any: true }] } })),
  fault(
    'istio-bad-provider',
    ({ manager }) =>
      void manager.http_filters.unshift(
        rbac({
          rules: {
            action: 'DENY',
            policies: {
              'istio-ext-authz-default-deny-all-due-to-bad-CUSTOM-action': {
                permissions: [{ any: true }],
                principals: [{ any: true }],
              },
            },
          },
        }),
      ),
    'envoy.bad-provider',
  ),
  fault(
    'tcp-past-it',
    ({ listeners }) =>
      void listeners.push({
        name: 'tcp-past-it-open',
        address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
        filter_chains: [
          {
            filters: [
              {
                name: 'envoy.filters.network.tcp_proxy',
                typed_config: {
                  ...typed('extensions.filters.network.tcp_proxy.v3.TcpProxy'),
                  stat_prefix: 'open',
                  cluster: 'payments',
                },
              },
            ],
          },
        ],
      }),
    'envoy.direct-path',
  ),
  fault('lua-after', ({ manager }) => void manager.http_filters.splice(2, 0, lua), 'envoy.changed-after-check'),
  fault('lua-before', ({ manager }) => void manager.http_filters.unshift(lua)),
  fault('limit-missing', ({ manager }) => void manager.http_filters.shift(), 'envoy.no-agent-limit'),
  fault(
    'limit-shared',
    ({ manager }) =>
      void (manager.http_filters[0].typed_config.rate_limits[0].actions = [
        { generic_key: { descriptor_key: 'agent', descriptor_value: '%DOWNSTREAM_PEER_URI_SAN%' } },
      ]),
    'envoy.shared-agent-limit',
  ),
  fault('route-cache', ({ filter }) => void (filter.clear_route_cache = true), 'envoy.changed-after-check'),
  fault(
    'cluster-misnamed',
    ({ filter }) => void (filter.grpc_service.envoy_grpc.cluster_name = 'remit-misspelt'),
    'envoy.cluster-missing',
  ),
  fault(
    'cluster-http1',
    ({ remit }) => {
      // Envoy refuses the health check over such a cluster.
      delete remit.health_checks;
      delete remit.typed_extension_protocol_options;
    },
    'envoy.cluster-http1',
  ),
  fault(
    'cluster-as-client',
    ({ remit }) =>
      void (remit.typed_extension_protocol_options[upstreams] = {
        ...typed('extensions.upstreams.http.v3.HttpProtocolOptions'),
        use_downstream_protocol_config: { http2_protocol_options: {} },
      }),
    'envoy.cluster-http1',
  ),
  fault('cluster-empty', ({ remit }) => void (remit.load_assignment.endpoints = []), 'envoy.no-endpoint'),
  fault(
    'by-http',
    ({ filter, remit }) => {
      delete filter.grpc_service;
      filter.http_service = { server_uri: { uri: 'http://remit', cluster: remit.name, timeout: '0.5s' } };
    },
    'envoy.never-asked',
    'envoy.cluster-http1',
  ),
  fault(
    'socket-missing',
    ({ remit }) => place(remit, { pipe: { path: '/nonexistent/remit/check.sock' } }),
    'envoy.socket-missing',
    'envoy.unreachable',
  ),
  fault(
    'socket-is-a-file',
    ({ remit }) => place(remit, { pipe: { path: '/etc/hostname' } }),
    'envoy.socket-missing',
    'envoy.unreachable',
  ),
  fault(
    'socket-abstract',
    ({ remit }) => place(remit, { pipe: { path: '@remit-check' } }),
    'envoy.socket-abstract',
    'envoy.unreachable',
  ),
  fault(
    'nobody-listens',
    ({ remit }) => place(remit, { socket_address: { address: '127.0.0.1', port_value: 1 } }),
    'envoy.unreachable',
  ),
  fault(
    'passed-unchecked',
    ({ filter, remit }) => {
      filter.failure_mode_allow = true;
      place(remit, { pipe: { path: '/nonexistent/remit/check.sock' } });
    },
    'envoy.fails-open',
    'envoy.passed-unchecked',
    'envoy.checks-failed',
    'envoy.socket-missing',
    'envoy.unreachable',
  ),
  fault('fails-open', ({ filter }) => void (filter.failure_mode_allow = true), 'envoy.fails-open'),
  fault('status-403', ({ filter }) => void delete filter.status_on_error, 'envoy.status-on-error'),
  fault('timeout-600s', ({ filter }) => void (filter.grpc_service.timeout = '600s'), 'envoy.long-timeout'),
  fault('timeout-none', ({ filter }) => void (filter.grpc_service.timeout = '0s'), 'envoy.long-timeout'),
  fault(
    'retried',
    ({ filter }) => void (filter.grpc_service.retry_policy = { retry_on: 'unavailable,reset', num_retries: 1 }),
    'envoy.check-retried',
  ),
  fault('no-certificate', ({ filter }) => void delete filter.include_peer_certificate, 'envoy.no-peer-certificate'),
  fault(
    'headers-hidden',
    ({ filter }) => void (filter.allowed_headers = { patterns: [{ exact: 'x-request-id' }] }),
    'envoy.headers-hidden',
  ),
  fault('no-body', ({ filter }) => void delete filter.with_request_body, 'envoy.no-body'),
  fault(
    'partial-body',
    ({ filter }) => void (filter.with_request_body.allow_partial_message = true),
    'envoy.partial-body',
  ),
  fault('plaintext', ({ chain }) => void delete chain.transport_socket, 'envoy.plaintext'),
  fault(
    'certificate-optional',
    ({ tls }) => void (tls.require_client_certificate = false),
    'envoy.client-certificate-optional',
  ),
  fault(
    'certificate-unverified',
    ({ tls }) => void delete tls.common_tls_context.validation_context,
    'envoy.certificate-unverified',
  ),
  fault(
    'xfcc-forwarded',
    ({ manager }) => void (manager.forward_client_cert_details = 'ALWAYS_FORWARD_ONLY'),
    'envoy.xfcc-forwarded',
  ),
  fault(
    'xfcc-appended',
    ({ manager }) => void (manager.forward_client_cert_details = 'APPEND_FORWARD'),
    'envoy.xfcc-appended',
  ),
  fault('dots-kept', ({ manager }) => void (manager.normalize_path = false), 'envoy.path-not-normalized'),
  fault(
    'slashes-kept',
    ({ manager }) => void (manager.path_with_escaped_slashes_action = 'UNESCAPE_AND_FORWARD'),
    'envoy.slashes-kept',
  ),
  fault(
    'upgrades',
    ({ manager }) => void (manager.upgrade_configs = [{ upgrade_type: 'websocket' }]),
    'envoy.upgrades',
  ),
  fault('no-outcomes', ({ manager }) => void manager.access_log.shift(), 'envoy.no-outcomes'),
  fault('body-as-text', ({ filter }) => void (filter.with_request_body.pack_as_bytes = false), 'envoy.body-as-text'),
  fault('lenient', ({ filter }) => void delete filter.validate_mutations, 'envoy.lenient-answers'),
  fault('resumption', ({ tls }) => void delete tls.disable_stateless_session_resumption, 'envoy.session-resumption'),
];

function place(cluster: Yaml, address: object): void {
  cluster.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address = address;
}

/** The configuration `text`, valid as it is, with one listener for each fault beside its own. */
export function withFaults(text: string, faults: readonly EnvoyFault[]): Yaml {
  const config = parse(text);
  const { clusters, listeners } = config.static_resources;
  for (const { name, break: change } of faults) {
    const listener = structuredClone(listeners[0]);
    const remit = structuredClone(clusters[0]);
    const [chain] = listener.filter_chains;
    const manager = chain.filters[0].typed_config;
    const filter = manager.http_filters[1].typed_config;
    listener.name = name;
    manager.stat_prefix = name;
    remit.name = `remit-${name}`;
    remit.load_assignment.cluster_name = remit.name;
    filter.grpc_service.envoy_grpc.cluster_name = remit.name;
    listeners.push(listener);
    clusters.push(remit);
    const host = manager.route_config.virtual_hosts[0];
    const tls = chain.transport_socket.typed_config;
    change({ listener, chain, tls, manager, filter, host, remit, clusters, listeners });
  }
  return config;
}
