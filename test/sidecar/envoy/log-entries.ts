import * as fc from 'fast-check';
import { flagLetters } from './log-codec.ts';
import { address, any, map, optional, struct, text } from './messages.ts';

const sanFields = { uri: text, dns: text };
const subjectAltNames = fc.array(
  fc.oneof(...Object.entries(sanFields).map(([name, value]) => fc.record({ [name]: value }))),
  { maxLength: 3 },
);
const duration = optional({ seconds: fc.nat(), nanos: fc.nat(999_999_999) });
const flags = fc
  .tuple(
    fc.subarray(Object.keys(flagLetters).filter((name) => name !== 'unauthorized_details')),
    optional({ unauthorized_details: optional({ reason: fc.constantFrom(0, 1) }) }),
    fc.boolean(),
  )
  .map(([names, unauthorized, isSet]) =>
    Object.assign(unauthorized, Object.fromEntries(names.map((name, index) => [name, isSet || index % 2 === 0]))),
  );

/** Entries of the fields that Remit's own protos have. */
export const readEntries = optional({
  common_properties: optional({
    tls_properties: optional({ peer_certificate_properties: optional({ subject_alt_name: subjectAltNames }) }),
    time_to_first_upstream_tx_byte: duration,
    time_to_last_upstream_rx_byte: duration,
    upstream_cluster: text,
    response_flags: flags,
    duration,
    upstream_request_attempt_count: fc.nat(),
    intermediate_log_entry: fc.boolean(),
    access_log_type: fc.nat(13),
  }),
  request: optional({
    request_method: fc.nat(9),
    authority: text,
    path: text,
    request_id: text,
    request_body_bytes: fc.nat(),
    request_headers: map(text),
  }),
  response: optional({
    response_code: optional({ value: fc.nat() }),
    response_body_bytes: fc.nat(),
    response_code_details: text,
  }),
});

/** Text of any length that is read, and of the characters that are looked at. */
const anyText = fc.oneof(
  { weight: 4, arbitrary: text },
  fc.string({ unit: fc.constantFrom('/', 'a', '?', '#', '\n', 'é', '€', '😀'), maxLength: 20 }),
  fc
    .tuple(fc.constantFrom('a', 'é', '€', '😀'), fc.integer({ min: 250, max: 2_100 }), text)
    .map(([unit, length, end]) => `${unit.repeat(length)}${end}`),
);
const anyDuration = optional({
  seconds: fc.oneof(fc.constant(0), fc.nat(), fc.maxSafeInteger()),
  nanos: fc.oneof(fc.nat(999_999_999), fc.integer()),
});
const size = fc.oneof(fc.nat(), fc.maxSafeNat());
const unsigned = fc.integer({ min: 0, max: 0xffff_ffff });
const wrapped = optional({ value: unsigned });

const spiffeId = fc.oneof(
  fc.webPath({ size: 'small' }).map((path) => `spiffe://acme.test${path}`),
  fc.constantFrom('spiffe://', 'spiffe://a b', 'SPIFFE://a.test/b', 'https://a.test/b'),
  text,
);
const names = fc.array(fc.oneof(fc.record({ uri: spiffeId }), fc.record({ dns: text }), fc.constant({})), {
  maxLength: 4,
});
const certificate = optional({ subject_alt_name: names, subject: text, issuer: text });

const uuid = fc.oneof(
  { weight: 6, arbitrary: fc.uuid() },
  fc.uuid().map((id) => id.toUpperCase()),
  text,
);
const textValue = (value: fc.Arbitrary<string>) =>
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ stringValue: value }) },
    fc.record({ numberValue: fc.double({ noNaN: true }) }),
    fc.record({ boolValue: fc.boolean() }),
    fc.record({ structValue: struct }),
    fc.constant({ nullValue: 0 }),
    fc.constant({}),
  );
const ourFields = fc
  .tuple(
    optional({
      decision_id: textValue(uuid),
      decision: textValue(fc.constantFrom('allow', 'deny', 'Allow', '')),
      task_id: textValue(uuid),
      agent: textValue(spiffeId),
      action: textValue(fc.oneof(fc.constantFrom('files.read', 'a b'), anyText)),
    }),
    fc.dictionary(fc.stringMatching(/^[a-z_]{1,12}$/), textValue(text), { maxKeys: 20 }),
    fc.boolean(),
  )
  .map(([ours, others, areOursFirst]) => ({
    fields: Object.assign({}, ...(areOursFirst ? [ours, others] : [others, ours])),
  }));
const filterMetadata = fc
  .tuple(fc.option(ourFields, { freq: 8 }), map(struct), fc.boolean())
  .map(([fields, others, isOursFirst]) => {
    const ours = fields === null ? {} : { 'envoy.filters.http.ext_authz': fields };
    return Object.assign({}, ...(isOursFirst ? [ours, others] : [others, ours]));
  });
const metadata = fc.record(
  { filter_metadata: filterMetadata, typed_filter_metadata: map(any) },
  { requiredKeys: ['filter_metadata'] },
);

/** Entries of every field that an HTTP entry has in Envoy's own protos. */
export const wholeEntries = optional({
  common_properties: optional({
    sample_rate: fc.double({ noNaN: true }),
    downstream_remote_address: address,
    downstream_local_address: address,
    tls_properties: optional({
      tls_version: fc.nat(4),
      tls_cipher_suite: wrapped,
      tls_sni_hostname: text,
      local_certificate_properties: certificate,
      peer_certificate_properties: certificate,
      tls_session_id: text,
      ja3_fingerprint: text,
    }),
    start_time: anyDuration,
    time_to_last_rx_byte: anyDuration,
    time_to_first_upstream_tx_byte: anyDuration,
    time_to_last_upstream_tx_byte: anyDuration,
    time_to_first_upstream_rx_byte: anyDuration,
    time_to_last_upstream_rx_byte: anyDuration,
    time_to_first_downstream_tx_byte: anyDuration,
    time_to_last_downstream_tx_byte: anyDuration,
    upstream_remote_address: address,
    upstream_local_address: address,
    upstream_cluster: anyText,
    response_flags: flags,
    metadata,
    upstream_transport_failure_reason: text,
    route_name: text,
    downstream_direct_remote_address: address,
    filter_state_objects: map(any),
    custom_tags: map(text),
    duration: anyDuration,
    upstream_request_attempt_count: unsigned,
    connection_termination_details: text,
    stream_id: text,
    intermediate_log_entry: fc.boolean(),
    downstream_transport_failure_reason: text,
    downstream_wire_bytes_sent: size,
    downstream_wire_bytes_received: size,
    upstream_wire_bytes_sent: size,
    upstream_wire_bytes_received: size,
    access_log_type: fc.oneof({ weight: 3, arbitrary: fc.constantFrom(0, 4, 5, 6, 10) }, fc.nat(40)),
  }),
  protocol_version: fc.nat(4),
  request: optional({
    request_method: fc.nat(12),
    scheme: text,
    authority: anyText,
    port: wrapped,
    path: anyText,
    user_agent: text,
    referer: text,
    forwarded_for: text,
    request_id: anyText,
    original_path: text,
    request_headers_bytes: size,
    request_body_bytes: size,
    request_headers: fc
      .tuple(map(text), optional({ 'x-envoy-auth-failure-mode-allowed': text }), map(text))
      .map(([before, marked, after]) => Object.assign({}, before, marked, after)),
    upstream_header_bytes_sent: size,
    downstream_header_bytes_received: size,
  }),
  response: optional({
    response_code: wrapped,
    response_headers_bytes: size,
    response_body_bytes: size,
    response_headers: map(text),
    response_trailers: map(text),
    response_code_details: anyText,
    upstream_header_bytes_received: size,
    downstream_header_bytes_sent: size,
  }),
});
