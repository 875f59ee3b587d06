import { at, isFalse, isTrue, listAt, textAt } from '../../tree.ts';
import { durationMs } from '../values.ts';
import { extension, fault, found, harmless, inside, judged, message, typesOf, unseen } from './field.ts';
import type { Field, Message } from './field.ts';
import { httpConnectionManager } from './manager-fields.ts';
import { downstreamSockets, transportSocket } from './tls-fields.ts';

const LISTENER = 'envoy.config.listener.v3';
const NETWORK = 'envoy.extensions.filters.network.';

const CLAIMED = {
  message: 'the address in records is what the client, or a hop before it, claims',
  fix: 'remove it, unless every caller comes through a hop that you trust',
};

/** Network filters that lead nowhere. */
const PASSIVE = harmless(
  'it refuses or counts connections, and leads nowhere',
  `${NETWORK}connection_limit.v3.ConnectionLimit ${NETWORK}local_ratelimit.v3.LocalRateLimit ${NETWORK}ratelimit.v3.RateLimit ${NETWORK}rbac.v3.RBAC ${NETWORK}geoip.v3.Geoip ${NETWORK}tcp_bandwidth_limit.v3.TcpBandwidthLimit ${NETWORK}ext_authz.v3.ExtAuthz ${NETWORK}direct_response.v3.Config ${NETWORK}echo.v3.Echo envoy.tcp.metadataexchange.config.MetadataExchange io.istio.network.authn.Config stats.PluginConfig`,
);

const guardedNetwork = typesOf('', PASSIVE, {
  [`${NETWORK}http_connection_manager.v3.HttpConnectionManager`]: {
    kind: 'inside',
    message: () => httpConnectionManager,
    isMap: false,
    step: () => '',
  },
});

const LEADS: Field = fault('envoy.unseen', 'warning', {
  message: 'this doctor does not see where it leads: maybe to the tools, past Remit',
  fix: 'remove the listener, or suppress this finding at its place once you know where it leads',
});

const networkRows: Readonly<Record<string, Field>> = {
  ...PASSIVE,
  ...judged(['envoy.never-asked'], `${NETWORK}http_connection_manager.v3.HttpConnectionManager`),
  ...judged(['envoy.direct-path', 'envoy.impostor'], `${NETWORK}tcp_proxy.v3.TcpProxy`),
  ...Object.fromEntries(
    ['sni_cluster.v3.SniCluster', 'set_filter_state.v3.Config', 'sni_dynamic_forward_proxy.v3.FilterConfig'].map(
      (name) => [`${NETWORK}${name}`, LEADS],
    ),
  ),
};

/** Network filters of chains that do not ask Remit. Every other type may lead to a tool. */
const otherNetwork = typesOf('', networkRows);

const listenerFilters = typesOf(
  'envoy.extensions.filters.listener.',
  harmless(
    'it looks at the first bytes of a connection, or counts',
    'tls_inspector.v3.TlsInspector http_inspector.v3.HttpInspector original_dst.v3.OriginalDst original_src.v3.OriginalSrc local_ratelimit.v3.LocalRateLimit',
  ),
  found('proxy_protocol.v3.ProxyProtocol', 'envoy.false-records', () => 'warning', CLAIMED),
);

const filterOf = (types: () => ReadonlyMap<string, Field>): Message =>
  message(
    `${LISTENER}.Filter`,
    harmless('its type counts', 'name'),
    extension('typed_config', types),
    unseen('config_discovery', 'warning', 'the filter arrives while Envoy runs'),
  );

const guardedFilter = filterOf(() => guardedNetwork);

/** A network filter of a chain that does not ask Remit. */
export const otherFilter = filterOf(() => otherNetwork);

/** A filter chain that asks Remit. */
export const filterChain: Message = message(
  `${LISTENER}.FilterChain`,
  inside('filters', () => guardedFilter),
  inside('transport_socket', () => transportSocket(downstreamSockets)),
  found('use_proxy_proto', 'envoy.false-records', 'warning', CLAIMED),
  harmless('each chain of the listener is judged', 'filter_chain_match'),
  harmless('it is a name, or a bound', 'metadata name transport_socket_connect_timeout'),
);

const listenerFilter: Message = message(
  `${LISTENER}.ListenerFilter`,
  extension('typed_config', () => listenerFilters),
  unseen('config_discovery', 'warning', 'the filter arrives while Envoy runs'),
  harmless('it is by the port that is called, and each chain for it is judged', 'filter_disabled'),
  harmless('its type counts', 'name'),
);

/**
 * Whether a listener selects one of several chains by the first bytes of a connection, but stops waiting for them after a time-out. A time-out
 * of 0, as Istio sets it, means no time-out.
 */
const chainsDiffer = (value: unknown, owner: unknown): 'warning' | null =>
  isTrue(value) &&
  durationMs(textAt(owner, 'listener_filters_timeout')) !== 0 &&
  listAt(owner, 'filter_chains').length + (at(owner, 'default_filter_chain') === undefined ? 0 : 1) > 1
    ? 'warning'
    : null;

/** A listener that has a chain that asks Remit. */
export const listener: Message = message(
  `${LISTENER}.Listener`,
  judged(['envoy.never-asked', 'envoy.direct-path'], 'filter_chains default_filter_chain'),
  harmless('each chain of the listener is judged', 'filter_chain_matcher'),
  judged(['envoy.never-asked'], 'traffic_direction'),
  found('continue_on_listener_filters_timeout', 'envoy.direct-path', chainsDiffer, {
    message: 'a client that sends nothing for a while gets another filter chain than its first bytes would choose',
    fix: 'remove it: such a connection is then closed',
  }),
  inside('listener_filters', () => listenerFilter),
  unseen('fcds_config api_listener', 'warning', 'filter chains come from elsewhere'),
  found('use_original_dst', 'envoy.direct-path', 'warning', {
    message: 'connections are handed to other listeners, by the address that the client connected to',
    fix: 'remove it, and give each listener an address of its own',
  }),
  found('bind_to_port', 'envoy.direct-path', (value) => (isFalse(value) ? 'warning' : null), {
    message: 'another listener hands connections to it, by the address that the client connected to',
    fix: 'remove it, and give each listener an address of its own',
  }),
  harmless('QUIC has its own transport socket, which is judged', 'udp_listener_config'),
  harmless('only listeners of this Envoy reach it, and they are judged', 'internal_listener'),
  harmless('chains are the same at each address', 'address additional_addresses'),
  harmless(
    'it says how connections are accepted, or is statistics',
    'access_log bypass_overload_manager connection_balance_config deprecated_v1 drain_type enable_mptcp enable_reuse_port freebind ignore_global_conn_limit listener_filters_timeout max_connections_to_accept_per_socket_event metadata name per_connection_buffer_high_watermark_timeout per_connection_buffer_limit_bytes reuse_port socket_options stat_prefix stats_matcher tcp_backlog_size tcp_fast_open_queue_length tcp_keepalive transparent',
  ),
);
