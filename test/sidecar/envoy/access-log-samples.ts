import { envoyAccessLogEntryType, envoyAccessLogMessageType } from './protos.ts';

/** A decision id as Remit gives one. */
export const DECISION = '01990000-0000-7000-8000-000000000001';

/** Filter metadata as Envoy logs it, with texts only. */
export const metadataOf = (namespaces: Readonly<Record<string, Readonly<Record<string, string>>>>) => ({
  filter_metadata: Object.fromEntries(
    Object.entries(namespaces).map(([name, values]) => [
      name,
      { fields: Object.fromEntries(Object.entries(values).map(([key, text]) => [key, { stringValue: text }])) },
    ]),
  ),
});

/** The metadata that ext_authz stores for an allowed use. */
export const decided = {
  'envoy.filters.http.ext_authz': {
    decision_id: DECISION,
    decision: 'allow',
    task_id: '01990000-0000-7000-8000-00000000000a',
    agent: 'spiffe://acme.test/planner',
    action: 'files.read',
  },
} as const;

/** An entry as Envoy 1.40 writes it, with changes. */
export const entryOf = (
  change: {
    readonly common?: Readonly<Record<string, unknown>>;
    readonly request?: Readonly<Record<string, unknown>>;
    readonly response?: Readonly<Record<string, unknown>>;
  } = {},
): object => ({
  common_properties: {
    tls_properties: {
      tls_version: 4,
      peer_certificate_properties: { subject_alt_name: [{ uri: 'spiffe://acme.test/planner' }], subject: 'CN=x' },
    },
    start_time: { seconds: 1_795_541_904, nanos: 878_461_000 },
    downstream_direct_remote_address: { socket_address: { address: '127.0.0.1', port_value: 4711 } },
    time_to_first_upstream_tx_byte: { nanos: 50_543_905 },
    time_to_last_upstream_rx_byte: { seconds: 1, nanos: 52_029_937 },
    upstream_cluster: 'files',
    response_flags: { upstream_retry_limit_exceeded: true, upstream_connection_failure: true },
    metadata: metadataOf({ ...decided, 'envoy.filters.http.mcp': { decision_id: 'other' } }),
    duration: { seconds: 1, nanos: 52_077_337 },
    upstream_request_attempt_count: 2,
    access_log_type: 6,
    ...change.common,
  },
  protocol_version: 2,
  request: {
    request_method: 3,
    scheme: 'https',
    authority: 'files.acme.test',
    path: '/v1/files/a?token=secret',
    request_id: '6546cbb2-8269-4b3f-9e81-20b1da7b7a4d',
    request_headers_bytes: 287,
    request_body_bytes: 4,
    ...change.request,
  },
  response: {
    response_code: { value: 200 },
    response_headers_bytes: 114,
    response_body_bytes: 5,
    response_code_details: 'via_upstream',
    ...change.response,
  },
});

/** The bytes of an entry, encoded with Envoy's own protos. */
export const entryBytes = (change: Parameters<typeof entryOf>[0] = {}): Buffer =>
  envoyAccessLogEntryType.serialize(entryOf(change));

/** The bytes of a message of a stream. The first one identifies the sender. */
export const messageBytes = (entries: readonly object[], nodeId?: string): Buffer =>
  envoyAccessLogMessageType.serialize({
    ...(nodeId === undefined ? {} : { identifier: { node: { id: nodeId, cluster: 'c' }, log_name: 'remit' } }),
    http_logs: { log_entry: entries },
  });
