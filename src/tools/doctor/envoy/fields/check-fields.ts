import { isFalse, numberAt, textAt } from '../../tree.ts';
import { durationMs, MIN_CHECK_MS } from '../values.ts';
import { extension, found, harmless, inside, judged, message, typesOf } from './field.ts';
import type { Message } from './field.ts';

const EXT_AUTHZ = 'envoy.extensions.filters.http.ext_authz.v3';
const CORE = 'envoy.config.core.v3';

const MIN_ANSWER_BYTES = 65_536;

const envoyGrpc: Message = message(
  `${CORE}.GrpcService.EnvoyGrpc`,
  judged(['envoy.never-asked', 'envoy.disabled-on-route', 'envoy.cluster-missing'], 'cluster_name'),
  found(
    'max_receive_message_length',
    'envoy.fails-calls',
    (value) => ((numberAt(value) ?? MIN_ANSWER_BYTES) < MIN_ANSWER_BYTES ? 'warning' : null),
    { message: 'longer answers of Remit are refused, and their calls denied', fix: 'remove it' },
  ),
  harmless('Remit decides nothing on it', 'authority skip_envoy_headers'),
  harmless('it counts for streams of a control plane alone', 'retry_policy'),
);

const grpcService: Message = message(
  `${CORE}.GrpcService`,
  inside('envoy_grpc', () => envoyGrpc),
  found('google_grpc', 'envoy.impostor', 'warning', {
    message:
      'the check goes by a channel of its own, which this doctor does not see: maybe in clear, maybe to somebody else',
    fix: 'use `envoy_grpc` with the cluster of Remit',
  }),
  found(
    'timeout',
    'envoy.fails-calls',
    (value) => {
      const ms = typeof value === 'string' ? durationMs(value) : null;
      return ms !== null && ms > 0 && ms < MIN_CHECK_MS ? 'error' : null;
    },
    { message: `no check is answered in so short a time (less than ${MIN_CHECK_MS} ms)`, fix: 'set `timeout: 0.5s`' },
  ),
  judged(['envoy.check-retried'], 'retry_policy'),
  harmless('Remit decides nothing on it', 'initial_metadata'),
);

const bufferSettings: Message = message(
  `${EXT_AUTHZ}.BufferSettings`,
  judged(['envoy.partial-body'], 'allow_partial_message'),
  judged(['envoy.body-as-text'], 'pack_as_bytes'),
  judged(['envoy.fails-calls'], 'max_request_bytes'),
);

const NOT_TAKEN_OUT = {
  message: 'Remit cannot take the token out of the call: the tool gets it, or the call is answered 500',
  fix: 'remove it',
};

const mutationRules: Message = message(
  'envoy.config.common.mutation_rules.v3.HeaderMutationRules',
  found('disallow_all disallow_expression', 'envoy.leak', 'warning', NOT_TAKEN_OUT),
  judged(['envoy.lenient-answers'], 'disallow_is_error'),
  harmless('Remit sets and removes no such header', 'allow_all_routing allow_envoy allow_expression disallow_system'),
);

const TWO_LISTS = {
  message:
    'Remit gets some of the headers, and the tool all: it may obey `x-http-method-override`, `x-original-url`, `content-encoding` or `mcp-*`, which policies cannot see',
  fix: 'remove the list: Remit gets all headers then',
};

const AT_RUNTIME = {
  message: 'a runtime key can change it while Envoy runs, and calls then pass unchecked',
  fix: 'remove `filter_enabled` and `deny_at_disable`',
};

/** The filter of ext_authz that asks Remit. */
export const extAuthz: Message = message(
  `${EXT_AUTHZ}.ExtAuthz`,
  inside('grpc_service', () => grpcService),
  inside('with_request_body', () => bufferSettings),
  inside('decoder_header_mutation_rules', () => mutationRules),
  judged(['envoy.cluster-http1', 'envoy.never-asked'], 'http_service'),
  judged(['envoy.fails-open'], 'failure_mode_allow'),
  judged(['envoy.shadow-mode'], 'shadow_mode'),
  judged(['envoy.status-on-error'], 'status_on_error'),
  judged(['envoy.changed-after-check'], 'clear_route_cache'),
  judged(['envoy.conditional'], 'filter_enabled_metadata'),
  judged(['envoy.no-peer-certificate'], 'include_peer_certificate'),
  judged(['envoy.lenient-answers'], 'validate_mutations'),
  judged(['envoy.certificate-unverified'], 'metadata_context_namespaces'),
  harmless('Remit reads no typed metadata', 'typed_metadata_context_namespaces'),
  judged(['envoy.two-readings'], 'encode_raw_headers'),
  found(
    'filter_enabled deny_at_disable',
    'envoy.runtime',
    (value) => (textAt(value, 'runtime_key') === '' ? null : 'warning'),
    AT_RUNTIME,
  ),
  found('allowed_headers disallowed_headers', 'envoy.two-readings', 'error', TWO_LISTS),
  found('clear_route_cache_headers', 'envoy.changed-after-check', 'warning', {
    message: 'the route is chosen again after the check, and its settings may differ',
    fix: 'remove it',
  }),
  found('enable_dynamic_metadata_ingestion', 'envoy.false-records', (value) => (isFalse(value) ? 'warning' : null), {
    message: 'Envoy does not keep the id of the decision, so no outcome can be joined with it',
    fix: 'remove it',
  }),
  found('max_denied_response_body_bytes enforce_response_header_limits', 'envoy.false-records', 'info', {
    message: 'a long denial of Remit is cut or refused, and the client does not learn the reason',
    fix: 'remove it',
  }),
  harmless('it tells apart which calls passed', 'failure_mode_allow_header_add'),
  harmless(
    'Remit decides nothing on it',
    'bootstrap_metadata_labels_key charge_cluster_response_stats emit_client_span emit_filter_state_stats filter_metadata include_tls_session route_metadata_context_namespaces route_typed_metadata_context_namespaces stat_prefix transport_api_version',
  ),
);

const checkSettings: Message = message(
  `${EXT_AUTHZ}.CheckSettings`,
  judged(['envoy.disabled-on-route', 'envoy.long-timeout', 'envoy.check-retried'], 'grpc_service http_service'),
  judged(['envoy.no-body'], 'disable_request_body_buffering'),
  inside('with_request_body', () => bufferSettings),
  harmless('Remit decides nothing on it', 'context_extensions emit_client_span'),
);

const perRoute: Message = message(
  `${EXT_AUTHZ}.ExtAuthzPerRoute`,
  judged(['envoy.disabled-on-route'], 'disabled'),
  inside('check_settings', () => checkSettings),
);

const filterConfig: Message = message(
  'envoy.config.route.v3.FilterConfig',
  judged(['envoy.disabled-on-route', 'envoy.changed-after-check'], 'disabled'),
  extension('config', () => perRouteTypes),
  harmless('a filter that this Envoy does not have does nothing', 'is_optional'),
);

/** The settings of a filter on one route. The filter itself is judged in its chain, and again if a route switches it on. */
const OF_ITS_FILTER = 'the filter is judged in its chain';

/** Types of settings of a filter for a route. */
export const perRouteTypes = typesOf(
  'envoy.',
  {
    'extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute': {
      kind: 'inside',
      message: () => perRoute,
      isMap: false,
      step: () => '',
    },
    'config.route.v3.FilterConfig': { kind: 'inside', message: () => filterConfig, isMap: false, step: () => '' },
  },
  harmless(
    OF_ITS_FILTER,
    `extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency
     extensions.filters.http.bandwidth_limit.v3.BandwidthLimit
     extensions.filters.http.basic_auth.v3.BasicAuthPerRoute
     extensions.filters.http.api_key_auth.v3.ApiKeyAuthPerRoute
     extensions.filters.http.buffer.v3.BufferPerRoute
     extensions.filters.http.compressor.v3.CompressorPerRoute
     extensions.filters.http.cors.v3.CorsPolicy
     extensions.filters.http.csrf.v3.CsrfPolicy
     extensions.filters.http.custom_response.v3.CustomResponse
     extensions.filters.http.ext_proc.v3.ExtProcPerRoute
     extensions.filters.http.fault.v3.HTTPFault
     extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute
     extensions.filters.http.header_to_metadata.v3.Config
     extensions.filters.http.jwt_authn.v3.PerRouteConfig
     extensions.filters.http.local_ratelimit.v3.LocalRateLimit
     extensions.filters.http.lua.v3.LuaPerRoute
     extensions.filters.http.rate_limit_quota.v3.RateLimitQuotaOverride
     extensions.filters.http.ratelimit.v3.RateLimitPerRoute
     extensions.filters.http.rbac.v3.RBACPerRoute
     extensions.filters.http.router.v3.Router
     extensions.filters.http.set_metadata.v3.Config
     extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute
     extensions.filters.http.wasm.v3.Wasm
     extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder
     extensions.filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute`,
  ),
);
