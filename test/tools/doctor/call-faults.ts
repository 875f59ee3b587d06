import { fault, lua, place, typed, upstreams } from './fault-parts.ts';
import type { Broken, EnvoyFault, Yaml } from './fault-parts.ts';

/** A cluster of a tool of this fault alone, to which its routes forward. */
const ownTool = ({ clusters, host, remit }: Broken): Yaml => {
  const tool = structuredClone(clusters.find(({ name }) => name === 'payments'));
  tool.name = remit.name.replace('remit-', 'tool-');
  tool.load_assignment.cluster_name = tool.name;
  host.routes[0].route.cluster = tool.name;
  clusters.push(tool);
  return tool;
};

const originalDst = (parts: Broken, settings: object): void => {
  const tool = ownTool(parts);
  delete tool.load_assignment;
  Object.assign(tool, { type: 'ORIGINAL_DST', lb_policy: 'CLUSTER_PROVIDED', ...settings });
};

/** Options of the upstream of a tool. */
const toolOptions = (parts: Broken, options: object): void => {
  ownTool(parts).typed_extension_protocol_options = {
    [upstreams]: {
      ...typed('extensions.upstreams.http.v3.HttpProtocolOptions'),
      explicit_http_config: { http_protocol_options: {} },
      ...options,
    },
  };
};

const ofRoute = (name: string, change: (action: Yaml) => void, ...found: readonly string[]): EnvoyFault =>
  fault(name, ({ host }) => change(host.routes[0].route), ...found);

/** Inserts a filter before the check, or after it. */
const filterAt =
  (place: 'before' | 'after', name: string, config: object) =>
  ({ manager }: Broken): void =>
    void manager.http_filters.splice(place === 'before' ? 0 : 3, 0, {
      name,
      typed_config: config,
    });

/** A listener for outgoing calls of this host to Remit, as istiod makes it for a ServiceEntry. */
const outgoing = (cluster: string): object => ({
  name: 'remit-for-this-host-open',
  traffic_direction: 'OUTBOUND',
  address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
  filter_chains: [
    {
      filters: [
        {
          name: 'envoy.filters.network.tcp_proxy',
          typed_config: { ...typed('extensions.filters.network.tcp_proxy.v3.TcpProxy'), stat_prefix: 'own', cluster },
        },
      ],
    },
  ],
});

/** Faults in what becomes of a checked call, and in who answers for Remit, that the doctor was green over (issue 37, point 17). */
export const CALL_FAULTS: readonly EnvoyFault[] = [
  fault(
    'address-by-header',
    (parts) => originalDst(parts, { original_dst_lb_config: { use_http_header: true } }),
    'envoy.route-by-client',
  ),
  fault('address-dialled', (parts) => originalDst(parts, {}), 'envoy.route-by-client'),
  ofRoute(
    'upstream-by-header',
    (action) => {
      delete action.cluster;
      action.cluster_header = 'x-cluster';
    },
    'envoy.route-by-client',
  ),
  fault(
    'hosts-by-header',
    ({ manager }) => void (manager.route_config.vhost_header = 'x-host'),
    'envoy.route-by-client',
  ),
  ofRoute(
    'path-rewritten',
    (action) => void (action.regex_rewrite = { pattern: { regex: '^/v1' }, substitution: '/v2' }),
    'envoy.rewritten',
  ),
  ofRoute('prefix-rewritten', (action) => void (action.prefix_rewrite = '/internal/'), 'envoy.rewritten'),
  ofRoute('host-rewritten', (action) => void (action.host_rewrite_literal = 'admin.acme.test'), 'envoy.rewritten'),
  ofRoute('host-by-header', (action) => void (action.host_rewrite_header = 'x-host'), 'envoy.rewritten'),
  ofRoute(
    'host-by-path',
    (action) => void (action.host_rewrite_path_regex = { pattern: { regex: '^/(.+)/.*$' }, substitution: '\\1' }),
    'envoy.rewritten',
  ),
  fault(
    'headers-added',
    ({ host }) =>
      void (host.request_headers_to_add = [
        { header: { key: 'x-http-method-override', value: 'DELETE' }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' },
      ]),
    'envoy.rewritten',
  ),
  fault(
    'method-mutated',
    filterAt('after', 'envoy.filters.http.lua', {
      ...typed('extensions.filters.http.lua.v3.Lua'),
      default_source_code: {
        inline_string: 'function envoy_on_request(call)\n  call:headers():replace(":method", "DELETE")\nend\n',
      },
    }),
    'envoy.changed-after-check',
  ),
  fault(
    'headers-mutated',
    filterAt('after', 'envoy.filters.http.header_mutation', {
      ...typed('extensions.filters.http.header_mutation.v3.HeaderMutation'),
      mutations: { request_mutations: [{ append: { header: { key: 'x-http-method-override', value: 'DELETE' } } }] },
    }),
    'envoy.changed-after-check',
  ),
  ofRoute(
    'call-retried',
    (action) => void (action.retry_policy = { retry_on: '5xx', num_retries: 3 }),
    'envoy.repeated',
  ),
  fault(
    'host-retried',
    ({ host }) => void (host.retry_policy = { retry_on: 'gateway-error,connect-failure' }),
    'envoy.repeated',
  ),
  fault(
    'upstream-retried',
    (parts) => toolOptions(parts, { retry_policy: { retry_on: 'reset', num_retries: 1 } }),
    'envoy.repeated',
  ),
  ofRoute(
    'retried-if-unseen',
    (action) => void (action.retry_policy = { retry_on: 'connect-failure,refused-stream,reset-before-request' }),
    'envoy.repeated',
  ),
  ofRoute('hedged', (action) => void (action.hedge_policy = { hedge_on_per_try_timeout: true }), 'envoy.repeated'),
  ofRoute(
    'redirected-inside',
    (action) => void (action.internal_redirect_policy = { max_internal_redirects: 1 }),
    'envoy.repeated',
  ),
  fault(
    'retries-by-agents',
    ({ manager }) =>
      void (manager.internal_address_config = { cidr_ranges: [{ address_prefix: '10.0.0.0', prefix_len: 8 }] }),
    'envoy.repeated',
  ),
  ofRoute('mirrored', (action) => void (action.request_mirror_policies = [{ cluster: 'files' }]), 'envoy.mirrored'),
  fault('host-mirrored', ({ host }) => void (host.request_mirror_policies = [{ cluster: 'files' }]), 'envoy.mirrored'),
  ofRoute(
    'post-tunnelled',
    (action) => void (action.upgrade_configs = [{ upgrade_type: 'CONNECT', connect_config: { allow_post: true } }]),
    'envoy.tunnel',
    'envoy.upgrades',
  ),
  fault(
    'upgrade-unchecked',
    ({ manager }) =>
      void (manager.upgrade_configs = [
        {
          upgrade_type: 'websocket',
          filters: [
            { name: 'envoy.filters.http.router', typed_config: typed('extensions.filters.http.router.v3.Router') },
          ],
        },
      ]),
    'envoy.never-asked',
    'envoy.upgrades',
  ),
  fault(
    'cached',
    filterAt('before', 'envoy.filters.http.cache', {
      ...typed('extensions.filters.http.cache.v3.CacheConfig'),
      typed_config: typed('extensions.http.cache.simple_http_cache.v3.SimpleHttpCacheConfig'),
    }),
    'envoy.answered-early',
  ),
  fault(
    'asked-in-clear',
    ({ remit }) => place(remit, { socket_address: { address: '192.0.2.1', port_value: 9470 } }),
    'envoy.impostor',
    'envoy.unreachable',
  ),
  fault(
    'asked-of-anybody',
    ({ remit }) => {
      place(remit, { socket_address: { address: '192.0.2.1', port_value: 9470 } });
      remit.transport_socket = {
        name: 'envoy.transport_sockets.tls',
        typed_config: { ...typed('extensions.transport_sockets.tls.v3.UpstreamTlsContext') },
      };
    },
    'envoy.impostor',
    'envoy.unreachable',
  ),
  fault(
    'agents-ask-remit',
    ({ host, remit }) =>
      host.routes.unshift({
        match: { prefix: '/envoy.service.auth.v3.Authorization/' },
        route: { cluster: remit.name },
      }),
    'envoy.impostor',
  ),
  fault(
    'remit-for-this-host',
    ({ listeners, remit }) => void listeners.push(outgoing(remit.name)),
    // As an info; and it is another way to where `agents-ask-remit` leads.
    'envoy.impostor',
    'envoy.direct-path',
  ),
  fault(
    'second-trust-domain',
    ({ tls }) => {
      const { trust_domains: domains } = tls.common_tls_context.validation_context.custom_validator_config.typed_config;
      domains.push({ ...domains[0], name: 'other.test' });
    },
    'envoy.weak-tls',
  ),
  fault(
    'old-tls',
    ({ tls }) => void (tls.common_tls_context.tls_params.tls_minimum_protocol_version = 'TLSv1_0'),
    'envoy.weak-tls',
  ),
  fault('timeout-2ms', ({ filter }) => void (filter.grpc_service.timeout = '0.002s'), 'envoy.fails-calls'),
  fault('few-checks', ({ remit }) => void (remit.circuit_breakers.thresholds[0].max_requests = 1), 'envoy.fails-calls'),
  fault(
    'enabled-by-key',
    ({ filter }) => void (filter.filter_enabled = { runtime_key: 'remit.enabled', default_value: { numerator: 100 } }),
    'envoy.runtime',
  ),
  fault(
    'token-logged',
    ({ manager }) =>
      void manager.access_log.push({
        name: 'envoy.access_loggers.stdout',
        typed_config: {
          ...typed('extensions.access_loggers.stream.v3.StdoutAccessLog'),
          log_format: { text_format_source: { inline_string: '%REQ(AUTHORIZATION)%\n' } },
        },
      }),
    'envoy.leak',
  ),
  fault('secrets-logged', ({ tls }) => void (tls.common_tls_context.key_log = { path: '/dev/null' }), 'envoy.leak'),
  fault('xfcc-by-hops', ({ manager }) => void (manager.xff_num_trusted_hops = 1), 'envoy.false-records'),
  fault('smuggled', ({ manager }) => void (manager.stream_error_on_invalid_http_message = true), 'envoy.two-readings'),
  fault(
    'unknown-filter',
    filterAt('after', 'envoy.filters.http.file_system_buffer', {
      ...typed('extensions.filters.http.file_system_buffer.v3.FileSystemBufferFilterConfig'),
    }),
    'envoy.unseen',
  ),
  fault(
    'switched-on-later',
    ({ host, manager }) => {
      manager.http_filters.splice(3, 0, { ...lua, disabled: true });
      host.routes[0].typed_per_filter_config = {
        [lua.name]: { ...typed('config.route.v3.FilterConfig'), config: {}, disabled: false },
      };
    },
    'envoy.changed-after-check',
  ),
  fault('optional-filter', ({ manager }) => void (manager.http_filters[2].is_optional = true), 'envoy.never-asked'),
  fault(
    'asked-by-own-channel',
    ({ filter }) =>
      void (filter.grpc_service = {
        google_grpc: { target_uri: '127.0.0.1:9470', stat_prefix: 'remit' },
        timeout: '0.5s',
      }),
    'envoy.impostor',
  ),
  fault(
    'identity-by-header',
    (parts) => {
      parts.filter.metadata_context_namespaces = ['remit'];
      filterAt('before', 'envoy.filters.http.header_to_metadata', {
        ...typed('extensions.filters.http.header_to_metadata.v3.Config'),
        request_rules: [
          { header: 'x-id', on_header_present: { metadata_namespace: 'remit', key: 'certificate', type: 'STRING' } },
        ],
      })(parts);
    },
    'envoy.certificate-unverified',
  ),
  fault(
    'chosen-among-several',
    (parts) => {
      const tool = ownTool(parts);
      const member = structuredClone(tool);
      member.name = `${tool.name}/member`;
      delete member.load_assignment;
      Object.assign(member, {
        type: 'ORIGINAL_DST',
        lb_policy: 'CLUSTER_PROVIDED',
        original_dst_lb_config: { use_http_header: true },
      });
      parts.clusters.push(member);
      delete tool.load_assignment;
      delete tool.type;
      tool.lb_policy = 'CLUSTER_PROVIDED';
      tool.cluster_type = {
        name: 'envoy.clusters.aggregate',
        typed_config: { ...typed('extensions.clusters.aggregate.v3.ClusterConfig'), clusters: [member.name] },
      };
    },
    'envoy.route-by-client',
  ),
  fault(
    'several-unchecked',
    ({ clusters, listeners }) => {
      clusters.push({
        name: 'aggregate-of-tools',
        connect_timeout: '1s',
        lb_policy: 'CLUSTER_PROVIDED',
        cluster_type: {
          name: 'envoy.clusters.aggregate',
          typed_config: { ...typed('extensions.clusters.aggregate.v3.ClusterConfig'), clusters: ['payments'] },
        },
      });
      listeners.push({
        ...outgoing('aggregate-of-tools'),
        name: 'several-unchecked-open',
        traffic_direction: 'INBOUND',
      });
    },
    'envoy.direct-path',
  ),
  fault(
    'quic',
    ({ chain, listener, manager, tls }) => {
      const context = structuredClone(tls);
      delete context['@type'];
      const { common_tls_context: common } = context;
      const [{ trust_bundle: bundle }] = common.validation_context.custom_validator_config.typed_config.trust_domains;
      common.validation_context = { trusted_ca: bundle };
      delete common.alpn_protocols;
      delete context.disable_stateless_session_resumption;
      chain.transport_socket = {
        name: 'envoy.transport_sockets.quic',
        typed_config: {
          ...typed('extensions.transport_sockets.quic.v3.QuicDownstreamTransport'),
          downstream_tls_context: context,
          enable_early_data: true,
          enable_resumption: true,
        },
      };
      listener.udp_listener_config = { quic_options: {} };
      listener.address.socket_address.protocol = 'UDP';
      manager.codec_type = 'HTTP3';
    },
    'envoy.weak-tls',
    'envoy.repeated',
    'envoy.session-resumption',
  ),
  fault(
    'connections-copied',
    ({ chain }) =>
      void (chain.transport_socket = {
        name: 'envoy.transport_sockets.tap',
        typed_config: {
          ...typed('extensions.transport_sockets.tap.v3.Tap'),
          common_config: { admin_config: { config_id: 'connections' } },
          transport_socket: chain.transport_socket,
        },
      }),
    'envoy.leak',
  ),
  fault(
    'calls-copied',
    filterAt('before', 'envoy.filters.http.tap', {
      ...typed('extensions.filters.http.tap.v3.Tap'),
      common_config: { admin_config: { config_id: 'calls' } },
    }),
    'envoy.leak',
  ),
  fault(
    'hosts-unchecked',
    ({ manager }) =>
      void (manager.route_config.virtual_hosts = manager.route_config.virtual_hosts.filter(
        ({ domains }: Yaml) => !domains.includes('*'),
      )),
    'envoy.no-catch-all',
  ),
  fault(
    'hosts-found-later',
    (parts) => {
      parts.manager.route_config.virtual_hosts = parts.manager.route_config.virtual_hosts.filter(
        ({ domains }: Yaml) => !domains.includes('*'),
      );
      parts.filter.clear_route_cache = true;
    },
    'envoy.changed-after-check',
    'envoy.no-catch-all',
  ),
];
