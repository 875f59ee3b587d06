/** Removes what may be a credential from a bundle of the doctor. */

/**
 * Members whose text is structure, never a credential. Every other text is replaced by its length, so that a member that nobody thought of
 * is not shown.
 */
const STRUCTURE: ReadonlySet<string> = new Set(
  `@type name type cluster cluster_name cluster_names prefix path path_prefix domains stat_prefix route_config_name route_name log_name
  address named_port protocol direction traffic_direction api_type api_version resource_api_version transport_api_version authority
  service_name server_name server_names alt_stat_name version_info version client_status last_updated lb_policy dns_lookup_family
  codec_type forward_client_cert_details path_with_escaped_slashes_action headers_with_underscores_action server_header_transformation
  failure_policy fallback_policy connect_timeout timeout idle_timeout request_timeout stream_idle_timeout request_headers_timeout
  max_stream_duration interval denominator runtime_key code status resolver_name metadata_context_namespaces route_metadata_context_namespaces
  apiVersion kind namespace action provider service port statusOnError host mode state priority health_status eds_health_status
  trust_chain_verification alpn_protocols tls_minimum_protocol_version filename upgrade_type http_filters_order`
    .split(/\s+/)
    .filter((word) => word !== ''),
);

/** Members with names of the operator's choice, in which a text of any name may be a secret. */
const OPAQUE: ReadonlySet<string> = new Set([
  'data',
  'stringData',
  'binaryData',
  'annotations',
  'env',
  'filter_metadata',
  'typed_filter_metadata',
  'filterMetadata',
  'context_extensions',
  'contextExtensions',
  'initial_metadata',
  'metadata_map',
  'dynamic_stats',
  'context',
]);

/**
 * A word in the name of a member whose number is a quantity, a port or a status. Any other number may be a password that was written without
 * quotes.
 */
const QUANTITY =
  /^number$|(?:^|[_.-])(?:as_group|as_user|attempts|bytes|concurrency|count|depth|fill|fs_group|generation|hops|initial|interval|kb|level|limit|max|maximum|min|minimum|mode|ms|nanos|num|numerator|percent|percentage|port|ports|priority|rate|ratio|replicas|response_code|retries|seconds|size|status|threshold|timeout|version|weight|window)(?:[_.-]|$)/;

const isQuantity = (name: string): boolean =>
  QUANTITY.test(name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));

const MAX_DEPTH = 100;

/** A JSON value with its structure and booleans, and of its texts and numbers only those that are no credential by the name of their member. */
export const redacted = (value: unknown): unknown => redactedAt(value, { name: '', isOpaque: false, depth: 0 });

interface Member {
  readonly name: string;
  readonly isOpaque: boolean;
  readonly depth: number;
}

function redactedAt(value: unknown, { depth, isOpaque, name }: Member): unknown {
  if (depth > MAX_DEPTH) return '[too deep]';
  if (typeof value === 'string')
    return !isOpaque && STRUCTURE.has(name) ? value : `[redacted: ${value.length} characters]`;
  if (typeof value === 'number' && !isOpaque && !STRUCTURE.has(name) && !isQuantity(name)) return '[redacted: number]';
  if (Array.isArray(value)) return value.map((one) => redactedAt(one, { name, isOpaque, depth: depth + 1 }));
  if (typeof value !== 'object' || value === null) return isOpaque ? '[redacted]' : value;
  return Object.fromEntries(
    Object.entries(value).map(([key, own]) => [
      key,
      redactedAt(own, { name: key, isOpaque: isOpaque || OPAQUE.has(key), depth: depth + 1 }),
    ]),
  );
}
