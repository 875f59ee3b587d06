import { CALL_FAULTS } from './call-faults.ts';
import { EXT_AUTHZ, fault, lua, perRoute, place, typed, upstreams } from './fault-parts.ts';
import type { Broken, EnvoyFault } from './fault-parts.ts';

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

/** Every fault of the configuration that a running Envoy accepts. */
export const ENVOY_FAULTS: readonly EnvoyFault[] = [
  fault('as-shipped', () => undefined),
  fault('filter-missing', ({ manager }) => void manager.http_filters.splice(2, 1), 'envoy.never-asked'),
  fault(
    'cluster-by-header',
    ({ host, manager }) => {
      manager.http_filters.splice(2, 1);
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
    'envoy.unseen',
  ),
  fault(
    'asks-another',
    ({ filter }) => void (filter.grpc_service.envoy_grpc.cluster_name = 'files'),
    'envoy.never-asked',
  ),
  fault('filter-disabled', ({ manager }) => void (manager.http_filters[2].disabled = true), 'envoy.disabled-on-route'),
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
    manager.http_filters[2].disabled = true;
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
  fault(
    'denied-if-disabled',
    ({ filter }) => {
      filter.filter_enabled = percent(0);
      filter.deny_at_disable = { default_value: true, runtime_key: 'remit.unused' };
    },
    'envoy.runtime',
  ),
  fault(
    'second-chain',
    ({ listener, chain, manager }) => {
      const other = structuredClone(chain);
      other.filter_chain_match = { server_names: ['open.acme.test'] };
      other.filters[0].typed_config.http_filters.splice(2, 1);
      listener.filter_chains.push(other);
      manager.stat_prefix = 'second_chain';
    },
    'envoy.never-asked',
  ),
  fault('shadow-mode', ({ filter }) => void (filter.shadow_mode = true), 'envoy.shadow-mode'),
  fault(
    'asked-twice',
    ({ manager }) => {
      const second = structuredClone(manager.http_filters[2]);
      second.name = 'again';
      manager.http_filters.splice(2, 0, second);
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
  fault('lua-after', ({ manager }) => void manager.http_filters.splice(3, 0, lua), 'envoy.changed-after-check'),
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
  fault('trailers-kept', ({ manager }) => void manager.http_filters.splice(1, 1), 'envoy.request-trailers'),
  fault(
    'some-trailers-kept',
    ({ manager }) =>
      void (manager.http_filters[1].typed_config.mutations.request_trailers_mutations = [{ remove: 'x-amount' }]),
    'envoy.request-trailers',
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
    'envoy.two-readings',
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
  ...CALL_FAULTS,
];
