import { isFalse, listAt, membersAt, numberAt, textAt } from '../../tree.ts';
import type { Code, Level } from '../../codes.ts';
import { extension, found, harmless, inside, isSet, judged, message, typesOf } from './field.ts';
import type { Message } from './field.ts';
import { namesSecret, upgradeLevel } from './values-of-fields.ts';

const HCM = 'envoy.extensions.filters.network.http_connection_manager.v3';
const CORE = 'envoy.config.core.v3';

const SMUGGLED = {
  message:
    'messages that break the protocol are answered on a connection that stays open: the next call may be read from the middle of a message',
  fix: 'remove it: Envoy then closes the connection',
};
const smuggling = (names: string) => found(names, 'envoy.two-readings', 'warning', SMUGGLED);

const NEVER_CHECKED = { message: 'it passes to the tool, and Remit never sees it', fix: 'remove it' };
const TUNNELS = {
  message: 'after a CONNECT nobody is asked again, and what passes then is not read',
  fix: 'remove it',
};

const commonOptions: Message = message(
  `${CORE}.HttpProtocolOptions`,
  harmless(
    'it bounds connections; Remit sees the same headers',
    'headers_with_underscores_action idle_timeout max_connection_duration max_connection_duration_jitter max_headers_count max_requests_per_connection max_response_headers_kb max_stream_duration',
  ),
);

const http1: Message = message(
  `${CORE}.Http1ProtocolOptions`,
  smuggling('override_stream_error_on_invalid_http_message allow_chunked_length'),
  found('default_host_for_http_10', 'envoy.two-readings', 'info', {
    message: 'a call without a host is decided for this host',
    fix: 'remove it, and `accept_http_10`',
  }),
  found('enable_trailers', 'envoy.two-readings', 'info', NEVER_CHECKED),
  harmless(
    'Remit sees the same method, path and headers',
    'accept_http_10 allow_absolute_url allow_custom_methods header_key_format ignore_http_11_upgrade send_fully_qualified_url use_balsa_parser',
  ),
);

const http2: Message = message(
  `${CORE}.Http2ProtocolOptions`,
  smuggling('override_stream_error_on_invalid_http_message stream_error_on_invalid_http_messaging'),
  found('allow_connect', 'envoy.upgrades', 'warning', TUNNELS),
  found('allow_metadata', 'envoy.two-readings', 'info', NEVER_CHECKED),
  harmless(
    'it bounds frames and memory of a connection',
    'connection_keepalive custom_settings_parameters disallow_obs_text enable_huffman_encoding hpack_table_size initial_connection_window_size initial_stream_window_size max_concurrent_streams max_consecutive_inbound_frames_with_empty_payload max_header_field_size_kb max_inbound_priority_frames_per_stream max_inbound_window_update_frames_per_data_frame_sent max_metadata_size max_outbound_control_frames max_outbound_frames stream_reset_burst stream_reset_rate use_oghttp2_codec',
  ),
);

const http3: Message = message(
  `${CORE}.Http3ProtocolOptions`,
  smuggling('override_stream_error_on_invalid_http_message'),
  found('allow_extended_connect', 'envoy.upgrades', 'warning', TUNNELS),
  found('allow_metadata', 'envoy.two-readings', 'info', NEVER_CHECKED),
  harmless(
    'it bounds frames and memory of a connection',
    'disable_connection_flow_control_for_streams disable_qpack disallow_obs_text quic_protocol_options',
  ),
);

const LOOPBACK = /^(?:127\.|::1$)/;
const internalLevel = (value: unknown): Level | null => {
  if (!isSet(value)) return null;
  const ranges = Array.isArray(value) ? (value as readonly unknown[]) : [];
  return ranges.length > 0 && ranges.every((one) => LOOPBACK.test(textAt(one, 'address_prefix'))) ? 'warning' : 'error';
};

const internalAddresses: Message = message(
  `${HCM}.HttpConnectionManager.InternalAddressConfig`,
  found('cidr_ranges unix_sockets', 'envoy.repeated', internalLevel, {
    message:
      'callers of these addresses are obeyed if they ask for retries and hedging (`x-envoy-retry-on`, `x-envoy-max-retries`): one decision, and several effects',
    fix: 'leave out the addresses of agents',
  }),
);

const upgradeConfig: Message = message(
  `${HCM}.HttpConnectionManager.UpgradeConfig`,
  found('upgrade_type', 'envoy.upgrades', upgradeLevel, {
    message:
      'after an upgrade nobody is asked again, and what passes then is not read; Remit denies the call that asks for a WebSocket',
    fix: 'remove `upgrade_configs`, if the host lets you',
  }),
  judged(['envoy.never-asked', 'envoy.fails-open', 'envoy.changed-after-check'], 'filters'),
  harmless('it is read with `upgrade_type`', 'enabled'),
);

const responseMapper: Message = message(
  `${HCM}.ResponseMapper`,
  found('status_code', 'envoy.fails-calls', (value) => ((numberAt(value) ?? 500) < 400 ? 'warning' : null), {
    message: 'an answer of Envoy, such as a denial, is shown as success: agents go on as if the call had been made',
    fix: 'map to a status of 400 or more',
  }),
  harmless('it says what an answer of Envoy looks like', 'body body_format_override filter headers_to_add'),
);

const localReply: Message = message(
  `${HCM}.LocalReplyConfig`,
  inside('mappers', () => responseMapper),
  harmless('it says what an answer of Envoy looks like', 'body_format'),
);

const requestIds = typesOf(
  'envoy.extensions.request_id.',
  harmless('ids of its making', 'uuid.v3.UuidRequestIdConfig'),
);

const requestIdExtension: Message = message(
  `${HCM}.RequestIDExtension`,
  extension('typed_config', () => requestIds),
);

/** The codes of the check of `forward_client_cert_details`. */
const XFCC: readonly Code[] = ['envoy.xfcc-forwarded', 'envoy.xfcc-appended'];

/** An HTTP connection manager that asks Remit. Filters and routes have checks of their own. */
export const httpConnectionManager: Message = message(
  `${HCM}.HttpConnectionManager`,
  judged(['envoy.never-asked', 'envoy.changed-after-check', 'envoy.answered-early', 'envoy.unseen'], 'http_filters'),
  judged(['envoy.never-asked', 'envoy.unseen'], 'rds route_config scoped_routes'),
  judged(['envoy.path-not-normalized'], 'normalize_path'),
  judged(['envoy.slashes-kept'], 'merge_slashes path_with_escaped_slashes_action'),
  judged(XFCC, 'forward_client_cert_details'),
  found('forward_client_cert_matcher', 'envoy.xfcc-forwarded', 'error', {
    message:
      'what becomes of the header `x-forwarded-client-cert` depends on the call: a client may keep the header that it sent',
    fix: 'set `forward_client_cert_details` alone',
  }),
  judged(['envoy.fails-calls'], 'set_current_client_cert_details'),
  judged(['envoy.no-outcomes', 'envoy.leak'], 'access_log'),
  judged(['envoy.short-streams'], 'stream_idle_timeout'),
  judged(['envoy.false-records'], 'use_remote_address'),
  inside('upgrade_configs', () => upgradeConfig),
  inside('internal_address_config', () => internalAddresses),
  inside('local_reply_config', () => localReply),
  inside('common_http_protocol_options', () => commonOptions),
  inside('http_protocol_options', () => http1),
  inside('http2_protocol_options', () => http2),
  inside('http3_protocol_options', () => http3),
  smuggling('stream_error_on_invalid_http_message'),
  found('xff_num_trusted_hops original_ip_detection_extensions', 'envoy.false-records', 'warning', {
    message: 'the address in records is what a header or a hop claims',
    fix: 'set `use_remote_address: true` alone, unless every caller comes through hops that you trust',
  }),
  found('preserve_external_request_id', 'envoy.false-records', 'info', {
    message: 'the client chooses the ids of its calls in records',
    fix: 'remove it',
  }),
  found('generate_request_id', 'envoy.false-records', (value) => (isFalse(value) ? 'info' : null), {
    message: 'calls have no id, so records and logs are hard to join',
    fix: 'remove it',
  }),
  inside('request_id_extension', () => requestIdExtension),
  found('path_normalization_options', 'envoy.two-readings', (value) => (membersAt(value).length > 0 ? 'error' : null), {
    message: 'filters and the tool see different paths',
    fix: 'use `normalize_path` and `merge_slashes`',
  }),
  found('typed_header_validation_config', 'envoy.two-readings', 'warning', {
    message: 'a validator of its own goes before the settings of paths and headers',
    fix: 'remove it',
  }),
  found('early_header_mutation_extensions', 'envoy.fails-calls', 'warning', {
    message: 'headers are changed before the check, maybe the token: Remit and the tool see the same',
    fix: 'let it leave `authorization` and `dpop` alone',
  }),
  found('scheme_header_transformation forward_proto_config', 'envoy.fails-calls', 'info', {
    message: 'a DPoP proof for another scheme is refused',
    fix: 'remove it, or set `extAuthz.externalUrl`',
  }),
  found('tracing', 'envoy.leak', (value) => (namesSecret(value) ? 'warning' : null), {
    message: 'spans have the token of the call',
    fix: 'remove the tag',
  }),
  judged(['envoy.fails-calls'], 'strip_any_host_port strip_matching_host_port'),
  harmless('Remit sees the same host', 'strip_trailing_host_dot'),
  harmless(
    'it is an answer, a log line, statistics, or a bound',
    'access_log_flush_interval access_log_options add_proxy_protocol_connection_state add_user_agent always_set_request_id_in_response append_local_overload append_x_forwarded_port codec_type delayed_close_timeout drain_timeout drain_timeout_jitter flush_access_log_on_new_request http1_safe_max_connection_duration max_request_headers_kb proxy_100_continue proxy_status_config record_route_resolution_stats represent_ipv4_remote_address_as_ipv4_mapped_ipv6 request_headers_timeout request_timeout server_header_transformation server_name skip_xff_append stat_prefix stream_flush_timeout via',
  ),
);

/** Whether a manager writes a token into a log. */
export const logsSecret = (fields: unknown): boolean => listAt(fields, 'access_log').some((log) => namesSecret(log));
