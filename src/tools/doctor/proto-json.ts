const MAX_DEPTH = 100;

/**
 * A value of Envoy's configuration as the checks read it: with the names of the proto files. Envoy also takes `clusterName` for `cluster_name`,
 * the number of an enum value for its name, and `null` for a field that is not set. Names with a dot or dash, such as those of filters, are
 * data and stay.
 *
 * @see ProtoJSON format, https://protobuf.dev/programming-guides/json/
 */
export function fromProtoJson(value: unknown, depth = 0): unknown {
  if (depth > MAX_DEPTH) return undefined;
  if (Array.isArray(value)) return value.map((one) => fromProtoJson(one, depth + 1));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, own]): readonly (readonly [string, unknown])[] => {
      if (own === null) return [];
      const field = fieldName(name);
      return [[field, enumName(field, own) ?? fromProtoJson(own, depth + 1)]];
    }),
  );
}

const fieldName = (name: string): string =>
  /^[a-z][A-Za-z0-9]*$/.test(name) ? name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) : name;

/** The names of enum values in the order of their numbers, by field: of all enums whose value a check reads. */
const ENUMS: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries({
    codec_type: ['AUTO', 'HTTP1', 'HTTP2', 'HTTP3'],
    denominator: ['HUNDRED', 'TEN_THOUSAND', 'MILLION'],
    forward_client_cert_details: ['SANITIZE', 'FORWARD_ONLY', 'APPEND_FORWARD', 'SANITIZE_SET', 'ALWAYS_FORWARD_ONLY'],
    internal_redirect_action: ['PASS_THROUGH_INTERNAL_REDIRECT', 'HANDLE_INTERNAL_REDIRECT'],
    path_with_escaped_slashes_action: [
      'IMPLEMENTATION_SPECIFIC_DEFAULT',
      'KEEP_UNCHANGED',
      'REJECT_REQUEST',
      'UNESCAPE_AND_REDIRECT',
      'UNESCAPE_AND_FORWARD',
    ],
    protocol_selection: ['USE_CONFIGURED_PROTOCOL', 'USE_DOWNSTREAM_PROTOCOL'],
    traffic_direction: ['UNSPECIFIED', 'INBOUND', 'OUTBOUND'],
    trust_chain_verification: ['VERIFY_TRUST_CHAIN', 'ACCEPT_UNTRUSTED'],
    // Of a cluster.
    type: ['STATIC', 'STRICT_DNS', 'LOGICAL_DNS', 'EDS', 'ORIGINAL_DST'],
  }),
);

/** The name of the only status that a check reads. */
const STATUSES: ReadonlyMap<string, string> = new Map([['503', 'ServiceUnavailable']]);

/** The name of an enum value that is written as a number; `undefined` for any other value. */
function enumName(field: string, value: unknown): string | undefined {
  if (typeof value !== 'number' && !(typeof value === 'string' && /^\d{1,3}$/.test(value))) return undefined;
  return field === 'code' ? STATUSES.get(String(value)) : ENUMS.get(field)?.[Number(value)];
}
