/** The flags of an access log entry, as decoded: those that are set. */
export type DecodedFlags = Readonly<Record<string, unknown>>;

/** Envoy's flags by their names in the protobuf, each with its letters in the text log. */
const letters: ReadonlyMap<string, string> = new Map([
  ['failed_local_healthcheck', 'LH'],
  ['no_healthy_upstream', 'UH'],
  ['upstream_request_timeout', 'UT'],
  ['local_reset', 'LR'],
  ['upstream_remote_reset', 'UR'],
  ['upstream_connection_failure', 'UF'],
  ['upstream_connection_termination', 'UC'],
  ['upstream_overflow', 'UO'],
  ['no_route_found', 'NR'],
  ['delay_injected', 'DI'],
  ['fault_injected', 'FI'],
  ['rate_limited', 'RL'],
  ['unauthorized_details', 'UAEX'],
  ['rate_limit_service_error', 'RLSE'],
  ['downstream_connection_termination', 'DC'],
  ['upstream_retry_limit_exceeded', 'URX'],
  ['stream_idle_timeout', 'SI'],
  ['invalid_envoy_request_headers', 'IH'],
  ['downstream_protocol_error', 'DPE'],
  ['upstream_max_stream_duration_reached', 'UMSDR'],
  ['response_from_cache_filter', 'RFCF'],
  ['no_filter_config_found', 'NFCF'],
  ['duration_timeout', 'DT'],
  ['upstream_protocol_error', 'UPE'],
  ['no_cluster_found', 'NC'],
  ['overload_manager', 'OM'],
  ['dns_resolution_failure', 'DF'],
  ['downstream_remote_reset', 'DR'],
]);

/**
 * The flags in the letters of the text log, in the order of the protobuf.
 *
 * @see https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage, RESPONSE_FLAGS
 */
export function responseFlagsFrom(flags: DecodedFlags): readonly string[] {
  const set: string[] = [];
  for (const name in flags) if (flags[name] !== undefined && flags[name] !== false && letters.has(name)) set.push(name);
  return set.length === 0 ? NONE : [...letters].filter(([name]) => set.includes(name)).map(([, text]) => text);
}

const NONE: readonly string[] = [];
