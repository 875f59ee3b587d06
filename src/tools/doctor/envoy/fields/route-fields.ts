/** The fields of route tables: virtual hosts, routes, their actions and retries. */
import { at, isFalse, numberAt, textAt } from '../../tree.ts';
import { extensionMap, fault, found, harmless, inside, judged, message, unseen } from './field.ts';
import type { Message } from './field.ts';
import { perRouteTypes } from './check-fields.ts';
import { addedLevel, hedgeLevel, namesSecret, retryLevel, upgradeLevel } from './values-of-fields.ts';

const ROUTE = 'envoy.config.route.v3';

const OTHER_UPSTREAM = {
  message: 'the upstream is chosen by what the client sends or by a plugin, and not by what was decided',
  fix: 'name the cluster of the route: `cluster`',
};
const REWRITTEN = {
  message: 'the tool gets another path or host than Remit decided on, and policies do not see it',
  fix: 'remove it, and let the catalog of Remit have the paths and hosts that the tool has',
};
const MIRRORED = {
  message: 'a second server gets each call too, after one decision and with one record',
  fix: 'remove `request_mirror_policies`; to try a server out, replay recorded calls with tokens of their own',
};
const HEDGED = {
  message: 'a call is sent several times at once: one decision and one use, and several effects',
  fix: 'remove `hedge_policy`',
};
const SMALL_BUFFER = {
  message: 'bodies over this length are answered 413, whatever `max_request_bytes` of the ext_authz filter is',
  fix: 'remove it, or set it to at least `max_request_bytes`',
};

const mirrors = found('request_mirror_policies', 'envoy.mirrored', 'error', MIRRORED);
const hedge = found('hedge_policy', 'envoy.repeated', hedgeLevel, HEDGED);
const buffers = found(
  'per_request_buffer_limit_bytes request_body_buffer_limit',
  'envoy.fails-calls',
  (value) => ((numberAt(value) ?? Number.POSITIVE_INFINITY) < 65_536 ? 'info' : null),
  SMALL_BUFFER,
);
const plugins = unseen('route_specifiers', 'error', 'an extension decides what becomes of a call');
const literalHost = found('host_rewrite_literal', 'envoy.rewritten', 'warning', REWRITTEN);

/** Headers that the router changes after the check, at any of four levels. */
const routerHeaders = {
  ...found('request_headers_to_add', 'envoy.rewritten', addedLevel, {
    message:
      'headers are added after the check: a header that says who calls, what for or how, or that is made of headers of the client, gives the tool another call than was decided',
    fix: 'add them before the check (Envoy: a filter before ext_authz), or remove them',
  }),
  ...found('request_headers_to_remove', 'envoy.rewritten', 'warning', {
    message: 'headers are removed after the check, so the tool gets another call than was decided',
    fix: 'remove them before the check, or not at all',
  }),
  ...harmless('it changes answers alone', 'response_headers_to_add response_headers_to_remove'),
};

const perRoute = extensionMap('typed_per_filter_config', () => perRouteTypes);

/** A retry policy. */
export const retryPolicy: Message = message(
  `${ROUTE}.RetryPolicy`,
  found('retry_on', 'envoy.repeated', retryLevel, {
    message:
      'a call is sent again that the tool may have carried out: one decision and one use, and several effects. Only `connect-failure`, `refused-stream` and `reset-before-request` are safe',
    fix: 'remove the policy, or retry on `connect-failure,refused-stream,reset-before-request` alone',
  }),
  found('refresh_cluster_on_retry', 'envoy.repeated', 'error', {
    message: 'a call is repeated at another upstream than was decided',
    fix: 'remove it',
  }),
  harmless(
    'it counts if `retry_on` names it',
    'retriable_headers retriable_request_headers retriable_status_codes num_retries',
  ),
  harmless(
    'it says when and at which endpoint a call is repeated, not whether',
    'host_selection_retry_max_attempts per_try_idle_timeout per_try_timeout rate_limited_retry_back_off retry_back_off retry_host_predicate retry_priority retry_options_predicates',
  ),
);

const headerOfClient = (value: unknown): 'info' | null => (value === '' ? null : 'info');

const clusterWeight: Message = message(
  `${ROUTE}.WeightedCluster.ClusterWeight`,
  judged(['envoy.direct-path', 'envoy.never-asked'], 'name'),
  found('cluster_header', 'envoy.route-by-client', 'error', OTHER_UPSTREAM),
  literalHost,
  routerHeaders,
  perRoute,
  harmless('it chooses among the clusters of the route, each of which is judged', 'weight metadata_match'),
);

const weightedCluster: Message = message(
  `${ROUTE}.WeightedCluster`,
  inside('clusters', () => clusterWeight),
  found('header_name', 'envoy.route-by-client', headerOfClient, {
    message: 'the client chooses among the clusters of the route',
    fix: 'remove it if their tools differ',
  }),
  harmless(
    'it chooses among the clusters of the route, each of which is judged',
    'runtime_key_prefix total_weight use_hash_policy',
  ),
);

const connectConfig = fault('envoy.tunnel', 'error', {
  message: 'the body of an allowed CONNECT, or POST, goes to the upstream as raw bytes: other calls pass inside',
  fix: 'remove `connect_config`',
});

const routeUpgrade: Message = message(
  `${ROUTE}.RouteAction.UpgradeConfig`,
  found('upgrade_type', 'envoy.upgrades', (value, owner) => (isOff(owner) ? null : upgradeLevel(value)), {
    message:
      'after an upgrade nobody is asked again, and what passes then is not read; Remit denies the call that asks for a WebSocket',
    fix: 'remove `upgrade_configs`, if the host lets you',
  }),
  { connect_config: connectConfig },
  harmless('it is read with `upgrade_type`', 'enabled'),
);

const isOff = (owner: unknown): boolean => isFalse(at(owner, 'enabled'));

const routeAction: Message = message(
  `${ROUTE}.RouteAction`,
  judged(['envoy.direct-path', 'envoy.impostor', 'envoy.route-by-client'], 'cluster'),
  inside('weighted_clusters', () => weightedCluster),
  found(
    'cluster_header cluster_specifier_plugin inline_cluster_specifier_plugin',
    'envoy.route-by-client',
    'error',
    OTHER_UPSTREAM,
  ),
  found('regex_rewrite path_rewrite path_rewrite_policy', 'envoy.rewritten', 'error', REWRITTEN),
  found('prefix_rewrite', 'envoy.rewritten', 'warning', REWRITTEN),
  found('host_rewrite_header host_rewrite_path_regex', 'envoy.rewritten', 'error', {
    message: 'the client chooses the host that the tool sees, after Remit decided on another',
    fix: 'remove it',
  }),
  literalHost,
  found('host_rewrite', 'envoy.rewritten', 'warning', REWRITTEN),
  found('auto_host_rewrite', 'envoy.rewritten', 'info', {
    message: 'the tool sees the name of its endpoint for its host',
    fix: 'remove it, if the tool tells callers apart by host',
  }),
  inside('retry_policy', () => retryPolicy),
  unseen('retry_policy_typed_config', 'error', 'an extension decides which calls are repeated'),
  hedge,
  mirrors,
  inside('upgrade_configs', () => routeUpgrade),
  found('internal_redirect_policy internal_redirect_action', 'envoy.repeated', redirectLevel, {
    message:
      'an answer of the tool makes Envoy call again, somewhere else: a second use, or a call whose token is gone',
    fix: 'remove it, and give the redirect to the client',
  }),
  found('early_data_policy', 'envoy.repeated', 'warning', {
    message: 'calls in 0-RTT data are taken, which anybody on the way can send again; Remit is asked about each',
    fix: 'remove it',
  }),
  harmless('the client chooses among endpoints of one cluster', 'metadata_match hash_policy'),
  judged(['envoy.short-streams'], 'timeout idle_timeout max_stream_duration'),
  harmless(
    'Remit is asked first, and this changes no call',
    'append_x_forwarded_host cluster_not_found_response_code cors flush_timeout grpc_timeout_offset include_vh_rate_limits max_grpc_timeout max_internal_redirects priority rate_limits',
  ),
);

function redirectLevel(value: unknown): 'warning' | null {
  return value === 'PASS_THROUGH_INTERNAL_REDIRECT' || value === '' ? null : 'warning';
}

const redirect: Message = message(
  `${ROUTE}.RedirectAction`,
  found('host_redirect', 'envoy.leak', 'info', {
    message: 'clients that follow it may send their token to that host',
    fix: 'redirect to hosts of your own alone',
  }),
  harmless(
    'nothing is forwarded',
    'https_redirect path_redirect path_rewrite port_redirect prefix_rewrite regex_rewrite response_code scheme_redirect strip_query',
  ),
);

const match: Message = message(
  `${ROUTE}.RouteMatch`,
  harmless(
    'Remit is asked about the calls of each route, and each is judged',
    'case_sensitive cookies dynamic_metadata filter_state grpc headers path path_match_policy path_separated_prefix prefix query_parameters runtime_fraction safe_regex tls_context',
  ),
  found('connect_matcher', 'envoy.tunnel', 'warning', {
    message: 'it matches CONNECT: after it was allowed nobody is asked about what passes inside',
    fix: 'remove the route',
  }),
);

/** A route. */
export const route: Message = message(
  `${ROUTE}.Route`,
  inside('match', () => match),
  inside('route', () => routeAction),
  inside('redirect', () => redirect),
  unseen('filter_action', 'error', 'a filter decides what becomes of a call'),
  plugins,
  routerHeaders,
  perRoute,
  buffers,
  found('tracing', 'envoy.leak', (value) => (namesSecret(value) ? 'warning' : null), {
    message: 'spans have the token of the call',
    fix: 'remove the tag',
  }),
  harmless('nothing is forwarded', 'direct_response non_forwarding_action'),
  harmless('it is a name or statistics', 'decorator metadata name stat_prefix'),
);

/** A virtual host. */
export const virtualHost: Message = message(
  `${ROUTE}.VirtualHost`,
  inside(
    'routes',
    () => route,
    (_value, index) => String(index),
  ),
  unseen('matcher', 'error', 'routes in a match tree are not read, nor their settings of filters'),
  inside('retry_policy', () => retryPolicy),
  unseen('retry_policy_typed_config', 'error', 'an extension decides which calls are repeated'),
  hedge,
  mirrors,
  plugins,
  routerHeaders,
  perRoute,
  buffers,
  judged(['envoy.short-streams'], 'domains'),
  harmless(
    'Remit is asked first, and this changes no call',
    'cors include_attempt_count_in_response include_is_timeout_retry_header include_request_attempt_count metadata name rate_limits require_tls virtual_clusters',
  ),
);

/** A route table. */
export const routeConfiguration: Message = message(
  `${ROUTE}.RouteConfiguration`,
  inside(
    'virtual_hosts',
    () => virtualHost,
    (value) => textAt(value, 'name') || 'host',
  ),
  unseen('vhds', 'warning', 'virtual hosts arrive while calls are made: a call without a virtual host is not checked'),
  found('vhost_header', 'envoy.route-by-client', 'error', {
    message: 'calls are routed by another header than the host that Remit decides on',
    fix: 'remove `vhost_header`',
  }),
  mirrors,
  plugins,
  routerHeaders,
  perRoute,
  harmless('it counts if a route names it', 'cluster_specifier_plugins'),
  harmless('it is applied before the check too', 'internal_only_headers'),
  harmless(
    'Remit is asked whatever route a call gets',
    'ignore_path_parameters_in_path_matching ignore_port_in_host_matching max_direct_response_body_size_bytes metadata most_specific_header_mutations_wins name validate_clusters',
  ),
);
