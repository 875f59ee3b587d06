import { at, listAt, numberAt, textAt, typeNameOf } from '../../tree.ts';
import type { Level } from '../../codes.ts';
import { durationMs } from '../values.ts';
import { extension, extensionMap, found, harmless, inside, isSet, judged, message, typesOf, unseen } from './field.ts';
import type { Field, Message } from './field.ts';
import { retryPolicy } from './route-fields.ts';
import { transportSocket, upstreamSockets } from './tls-fields.ts';
import { namesSecret } from './values-of-fields.ts';

const CLUSTER = 'envoy.config.cluster.v3';
const UPSTREAMS = 'envoy.extensions.upstreams';
const CLUSTERS = 'envoy.extensions.clusters';

const BY_CLIENT = {
  message: 'the client chooses the address that is called, whatever host was decided',
  fix: 'name the endpoints of the cluster, or find them by DNS or EDS',
};
const CHANGED = {
  message: 'a filter changes each call after the check, and each try of it',
  fix: 'remove it, or move it before ext_authz',
};

const originalDst: Message = message(
  `${CLUSTER}.Cluster.OriginalDstLbConfig`,
  found('use_http_header http_header_name metadata_key', 'envoy.route-by-client', 'error', BY_CLIENT),
  found('upstream_port_override', 'envoy.route-by-client', 'warning', {
    message: 'the address is that which the client dialled, and not of the host that was decided',
    fix: 'name the endpoints of the cluster',
  }),
);

/** The only filter of an upstream that changes no call. */
const CODEC = 'envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec';
const changesCalls = (value: unknown): Level | null =>
  (Array.isArray(value) ? (value as readonly unknown[]) : []).some(
    (one) => typeNameOf(at(one, 'typed_config')) !== CODEC,
  )
    ? 'error'
    : null;

/** Filters of HTTP that the router, or the options of a cluster, run for each try. */
const upstreamFilters = (name: string) => found(name, 'envoy.changed-after-check', changesCalls, CHANGED);

const sniByHeader = message(
  'envoy.config.core.v3.UpstreamHttpProtocolOptions',
  found('override_auto_sni_header', 'envoy.leak', 'warning', {
    message: 'a header of the client names the server that is verified',
    fix: 'remove it',
  }),
  harmless('the server is verified by the host of the call', 'auto_san_validation auto_sni'),
);

const toolOptions: Message = message(
  `${UPSTREAMS}.http.v3.HttpProtocolOptions`,
  inside('retry_policy', () => retryPolicy),
  found('request_mirror_policies', 'envoy.mirrored', 'error', {
    message: 'a second server gets each call too, after one decision and with one record',
    fix: 'remove it',
  }),
  upstreamFilters('http_filters'),
  found('header_validation_config', 'envoy.two-readings', 'warning', {
    message: 'a validator of its own goes before the settings of paths and headers',
    fix: 'remove it',
  }),
  inside('upstream_http_protocol_options', () => sniByHeader),
  harmless('the client chooses among endpoints of one cluster', 'hash_policy'),
  harmless(
    'it says how the upstream is spoken to',
    'auto_config common_http_protocol_options explicit_http_config outlier_detection use_downstream_protocol_config',
  ),
);

const optionsOf = (of: () => Message): ReadonlyMap<string, Field> =>
  typesOf('', {
    [`${UPSTREAMS}.http.v3.HttpProtocolOptions`]: { kind: 'inside', message: of, isMap: false, step: () => '' },
  });

/** The values of `cluster_type` for a cluster of tools. */
const toolTypes = typesOf(
  `${CLUSTERS}.`,
  harmless('a name that is looked up', 'dns.v3.DnsCluster'),
  harmless('each of its clusters is judged', 'aggregate.v3.ClusterConfig composite.v3.ClusterConfig'),
  found('dynamic_forward_proxy.v3.ClusterConfig', 'envoy.route-by-client', () => 'warning', {
    message: 'the host of the call is looked up and called, whatever it is: Remit must know every host',
    fix: 'use a cluster with a name of its own for each tool',
  }),
  found('original_dst.v3.OriginalDstClusterConfig', 'envoy.route-by-client', () => 'warning', BY_CLIENT),
);

const customType = (types: () => ReadonlyMap<string, Field>): Message =>
  message(
    `${CLUSTER}.Cluster.CustomClusterType`,
    extension('typed_config', types),
    harmless('its type counts', 'name'),
  );

const generic = harmless(
  'it forwards HTTP as HTTP',
  `${UPSTREAMS}.http.generic.v3.GenericConnectionPoolProto ${UPSTREAMS}.http.http.v3.HttpConnectionPoolProto`,
);
const upstreamPools = typesOf('', generic, {
  ...found(
    `${UPSTREAMS}.http.tcp.v3.TcpConnectionPoolProto ${UPSTREAMS}.http.udp.v3.UdpConnectionPoolProto`,
    'envoy.tunnel',
    () => 'warning',
    { message: 'bodies go to the upstream as raw bytes: other calls pass inside', fix: 'remove `upstream_config`' },
  ),
});

/** Whether a cluster reaches only this host: a socket that is bound to a loopback address connects to loopback addresses alone. */
const isBoundToHost = (cluster: unknown): boolean =>
  textAt(cluster, 'upstream_bind_config', 'source_address', 'address').startsWith('127.');

const typeLevel = (value: unknown, owner: unknown): Level | null =>
  value !== 'ORIGINAL_DST' ? null : isBoundToHost(owner) ? 'info' : 'warning';

/** Whether load balancing is by a header of the client. */
const overrides = (value: unknown): boolean =>
  listAt(value, 'policies').some((one) =>
    typeNameOf(at(one, 'typed_extension_config', 'typed_config')).endsWith('.OverrideHost'),
  );

const socketMatch = message(
  `${CLUSTER}.Cluster.TransportSocketMatch`,
  inside('transport_socket', () => transportSocket(upstreamSockets)),
  harmless('each is judged', 'match name'),
);

const BALANCING =
  'lb_policy least_request_lb_config maglev_lb_config ring_hash_lb_config round_robin_lb_config common_lb_config dns_failure_refresh_rate dns_jitter dns_lookup_family dns_refresh_rate dns_resolution_config dns_resolvers respect_dns_ttl typed_dns_resolver_config use_tcp_for_dns_lookups eds_cluster_config health_checks ignore_health_on_host_removal close_connections_on_host_health_failure preconnect_policy queuing_policies wait_for_warm_on_init cleanup_interval';
const CONNECTIONS =
  'connection_pool_per_downstream_connection max_requests_per_connection per_connection_buffer_high_watermark_timeout per_connection_buffer_limit_bytes upstream_bind_config upstream_connection_options protocol_selection common_http_protocol_options http2_protocol_options http_protocol_options';
const STATISTICS =
  'alt_stat_name lrs_report_endpoint_metrics lrs_server metadata name stats_matcher track_cluster_stats track_timeout_budgets';

const sockets = {
  ...inside('transport_socket', () => transportSocket(upstreamSockets)),
  ...inside('transport_socket_matches', () => socketMatch),
  ...unseen('transport_socket_matcher', 'warning', 'which transport is used depends on what is matched'),
};
const filters = found('filters', 'envoy.changed-after-check', 'error', CHANGED);

/** A cluster that routes of a listener that asks Remit forward to. */
export const toolCluster: Message = message(
  `${CLUSTER}.Cluster`,
  found('type', 'envoy.route-by-client', typeLevel, {
    message: 'the address that is called is that which the client connected to, and not of the host that was decided',
    fix: 'name the endpoints of the cluster, or find them by DNS or EDS',
  }),
  inside('cluster_type', () => customType(() => toolTypes)),
  inside('original_dst_lb_config', () => originalDst),
  extensionMap('typed_extension_protocol_options', () => optionsOf(() => toolOptions)),
  extension('upstream_config', () => upstreamPools),
  filters,
  sockets,
  inside('upstream_http_protocol_options', () => sniByHeader),
  found('load_balancing_policy', 'envoy.route-by-client', (value) => (overrides(value) ? 'info' : null), {
    message: 'the client chooses the endpoint',
    fix: 'remove it if the endpoints differ',
  }),
  judged(['envoy.leak'], 'load_assignment'),
  harmless('the client chooses among endpoints of one cluster', 'lb_subset_config'),
  harmless('no call of an agent is made or kept by it', BALANCING),
  harmless('it says how the upstream is connected to', CONNECTIONS),
  harmless('it bounds load', 'circuit_breakers outlier_detection connect_timeout'),
  harmless('it is a name or statistics', STATISTICS),
);

const OTHER_DECIDER = {
  message: 'another than Remit may be asked: who answers there allows every call',
  fix: 'give the cluster the socket or address of Remit as its endpoint',
};

const remitOptions: Message = message(
  `${UPSTREAMS}.http.v3.HttpProtocolOptions`,
  judged(['envoy.cluster-http1'], 'explicit_http_config auto_config use_downstream_protocol_config'),
  found('http_filters', 'envoy.impostor', changesCalls, OTHER_DECIDER),
  found('retry_policy', 'envoy.check-retried', (value) => (isSet(value) ? 'warning' : null), {
    message: 'checks are repeated: one call counts as two uses',
    fix: 'remove it',
  }),
  found('request_mirror_policies', 'envoy.leak', 'error', {
    message: 'a second server gets each check, with its token',
    fix: 'remove it',
  }),
  found('outlier_detection', 'envoy.fails-calls', 'warning', {
    message: 'denials of Remit may count as its failures, and it is then not asked',
    fix: 'remove it',
  }),
  harmless(
    'it changes nothing about who answers',
    'common_http_protocol_options hash_policy header_validation_config upstream_http_protocol_options',
  ),
);

const FEW = 32;
const isTiny = (thresholds: unknown): boolean =>
  listAt(thresholds, 'thresholds').some((one) =>
    ['max_requests', 'max_pending_requests'].some((name) => (numberAt(one, name) ?? FEW) < FEW),
  );

const remitTypes = typesOf(`${CLUSTERS}.`, harmless('a name that is looked up', 'dns.v3.DnsCluster'));

/** The cluster of Remit. */
export const remitCluster: Message = message(
  `${CLUSTER}.Cluster`,
  found('type', 'envoy.impostor', (value) => (value === 'ORIGINAL_DST' ? 'error' : null), OTHER_DECIDER),
  inside('cluster_type', () => customType(() => remitTypes)),
  found('original_dst_lb_config', 'envoy.impostor', 'error', OTHER_DECIDER),
  extensionMap('typed_extension_protocol_options', () => optionsOf(() => remitOptions)),
  extension('upstream_config', () => typesOf('', generic)),
  found('filters', 'envoy.impostor', 'error', OTHER_DECIDER),
  sockets,
  judged(['envoy.no-endpoint', 'envoy.impostor', 'envoy.socket-missing'], 'load_assignment'),
  judged(['envoy.cluster-http1'], 'http2_protocol_options'),
  found(
    'protocol_selection',
    'envoy.cluster-http1',
    (value) => (isSet(value) && value !== 'USE_CONFIGURED_PROTOCOL' ? 'error' : null),
    {
      message: 'it speaks what the client speaks: calls over HTTP/1.1 are denied',
      fix: 'remove it, and give the cluster `explicit_http_config: { http2_protocol_options: {} }`',
    },
  ),
  found('circuit_breakers', 'envoy.fails-calls', (value) => (isTiny(value) ? 'warning' : null), {
    message: `fewer than ${FEW} checks at a time are let through, and the other calls are denied`,
    fix: 'use the bounds of deploy/envoy/envoy.yaml',
  }),
  found('outlier_detection', 'envoy.fails-calls', 'warning', {
    message: 'denials of Remit may count as its failures, and it is then not asked',
    fix: 'remove it',
  }),
  found('connect_timeout', 'envoy.fails-calls', (value) => (isShort(value) ? 'warning' : null), {
    message: 'a connection to Remit has too little time, and calls are denied',
    fix: 'set `connect_timeout: 0.25s`, or 1s over a network',
  }),
  harmless('each endpoint is Remit', `${BALANCING} lb_subset_config load_balancing_policy`),
  harmless(
    'it says how Remit is connected to',
    'connection_pool_per_downstream_connection max_requests_per_connection per_connection_buffer_high_watermark_timeout per_connection_buffer_limit_bytes upstream_bind_config upstream_connection_options common_http_protocol_options http_protocol_options upstream_http_protocol_options',
  ),
  harmless('it is a name or statistics', STATISTICS),
);

const MIN_CONNECT_MS = 10;
function isShort(value: unknown): boolean {
  const ms = typeof value === 'string' ? durationMs(value) : null;
  return ms !== null && ms < MIN_CONNECT_MS;
}

/** The router, whose own filters run after the check. */
export const router: Message = message(
  'envoy.extensions.filters.http.router.v3.Router',
  upstreamFilters('upstream_http_filters'),
  found('upstream_log', 'envoy.leak', (value) => (namesSecret(value) ? 'warning' : null), {
    message: 'the log has the token of each call: who reads it can call as the agent until the token ends',
    fix: 'remove `authorization`, `dpop` and `cookie` from the format of the log',
  }),
  harmless(
    'it is a span, statistics, or obeys headers of addresses that are trusted, which are judged',
    'dynamic_stats reject_connect_request_early_data respect_expected_rq_timeout start_child_span strict_check_headers suppress_envoy_headers suppress_grpc_request_failure_code_stats upstream_log_options',
  ),
);
