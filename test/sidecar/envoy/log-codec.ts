import { callNameOf } from '../../../src/sidecar/envoy/grpc/call-name.ts';
import type { LoggedDecision, ServedCall } from '../../../src/sidecar/outcome/served-call.ts';
import { envoyAccessLogEntryType } from './protos.ts';

/** Names of Envoy's flags, each with its letters in the text log, in the order of the protobuf. */
export const flagLetters = {
  failed_local_healthcheck: 'LH',
  no_healthy_upstream: 'UH',
  upstream_request_timeout: 'UT',
  local_reset: 'LR',
  upstream_remote_reset: 'UR',
  upstream_connection_failure: 'UF',
  upstream_connection_termination: 'UC',
  upstream_overflow: 'UO',
  no_route_found: 'NR',
  delay_injected: 'DI',
  fault_injected: 'FI',
  rate_limited: 'RL',
  unauthorized_details: 'UAEX',
  rate_limit_service_error: 'RLSE',
  downstream_connection_termination: 'DC',
  upstream_retry_limit_exceeded: 'URX',
  stream_idle_timeout: 'SI',
  invalid_envoy_request_headers: 'IH',
  downstream_protocol_error: 'DPE',
  upstream_max_stream_duration_reached: 'UMSDR',
  response_from_cache_filter: 'RFCF',
  no_filter_config_found: 'NFCF',
  duration_timeout: 'DT',
  upstream_protocol_error: 'UPE',
  no_cluster_found: 'NC',
  overload_manager: 'OM',
  dns_resolution_failure: 'DF',
  downstream_remote_reset: 'DR',
} as const;

interface DecodedEntry {
  readonly common_properties?: {
    readonly tls_properties?: {
      readonly peer_certificate_properties?: { readonly subject_alt_name?: readonly { readonly uri?: string }[] };
    };
    readonly start_time?: DecodedDuration;
    readonly downstream_direct_remote_address?: {
      readonly socket_address?: { readonly address?: string; readonly port_value?: number };
    };
    readonly time_to_first_upstream_tx_byte?: DecodedDuration;
    readonly time_to_last_upstream_rx_byte?: DecodedDuration;
    readonly duration?: DecodedDuration;
    readonly upstream_cluster?: string;
    readonly response_flags?: Readonly<Record<string, unknown>>;
    readonly metadata?: { readonly filter_metadata?: Readonly<Record<string, DecodedStruct>> };
    readonly upstream_request_attempt_count?: number;
    readonly intermediate_log_entry?: boolean;
    readonly access_log_type?: number;
  };
  readonly request?: {
    readonly request_method?: number;
    readonly authority?: string;
    readonly path?: string;
    readonly request_id?: string;
    readonly request_body_bytes?: number;
    readonly request_headers?: Readonly<Record<string, string>>;
  };
  readonly response?: {
    readonly response_code?: { readonly value?: number };
    readonly response_body_bytes?: number;
    readonly response_code_details?: string;
  };
}

interface DecodedDuration {
  readonly seconds?: number;
  readonly nanos?: number;
}

interface DecodedStruct {
  readonly fields?: Readonly<Record<string, { readonly stringValue?: string }>>;
}

/**
 * The same as `servedCallFrom`, computed from the entry that the codec decodes with Envoy's own protos: the reference for the reader.
 * Throws where the codec does.
 */
export function callByCodec(bytes: Buffer): ServedCall | null {
  // The codec has given every field its declared type; `DecodedEntry` names those that are used.
  const entry: DecodedEntry = envoyAccessLogEntryType.deserialize(bytes);
  const { common_properties: common = {}, request = {}, response = {} } = entry;
  const states = new Map([...[4, 5, 10].map((type) => [type, 'alive'] as const), [6, 'ended'] as const]);
  const state = states.get(common.access_log_type ?? 0);
  const isOld = (common.access_log_type ?? 0) === 0;
  if (state === undefined && !isOld) return null;
  const from = common.downstream_direct_remote_address?.socket_address ?? {};
  const sentMs = msOf(common.time_to_first_upstream_tx_byte);
  const receivedMs = msOf(common.time_to_last_upstream_rx_byte);
  const methods = ['', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'];
  return {
    state: state ?? (common.intermediate_log_entry === true ? 'alive' : 'ended'),
    decision: decisionIn(common.metadata?.filter_metadata?.['envoy.filters.http.ext_authz']?.fields ?? {}),
    status: response.response_code?.value ?? null,
    details: word(response.response_code_details) ?? '',
    flags: flagsIn(common.response_flags ?? {}),
    durationMs: msOf(common.duration),
    upstreamMs: sentMs === null || receivedMs === null ? null : rounded(Math.max(0, receivedMs - sentMs)),
    requestBytes: Math.min(request.request_body_bytes ?? 0, Number.MAX_SAFE_INTEGER),
    responseBytes: Math.min(response.response_body_bytes ?? 0, Number.MAX_SAFE_INTEGER),
    attempts: Math.max(common.upstream_request_attempt_count ?? 0, sentMs === null ? 0 : 1),
    upstreamCluster: word(common.upstream_cluster),
    isFailureModeAllowed: 'x-envoy-auth-failure-mode-allowed' in (request.request_headers ?? {}),
    peer: peerIn(common.tls_properties?.peer_certificate_properties?.subject_alt_name ?? []),
    method: methods[request.request_method ?? 0] ?? '',
    host: request.authority ?? '',
    path: (request.path ?? '').split(/[?#]/, 1)[0] ?? '',
    requestId: (request.request_id ?? '').length > 256 ? null : word(request.request_id),
    callName: callNameOf(
      { seconds: common.start_time?.seconds ?? 0, nanos: common.start_time?.nanos ?? 0 },
      { address: word(from.address) ?? '', port: from.port_value ?? 0 },
    ),
  };
}

function decisionIn(fields: NonNullable<DecodedStruct['fields']>): LoggedDecision | null {
  const texts = Object.entries(fields).filter(([, { stringValue }]) => stringValue !== undefined);
  const values = new Map(texts.slice(0, 16).map(([key, { stringValue }]) => [key, stringValue]));
  const id = uuid(values.get('decision_id'));
  const kind = values.get('decision');
  return id === null
    ? null
    : {
        id,
        kind: kind === 'allow' || kind === 'deny' ? kind : null,
        task: uuid(values.get('task_id')),
        agent: plain(values.get('agent')),
        action: plain(values.get('action')),
        ledger: plain(values.get('ledger')),
      };
}

const flagsIn = (flags: Readonly<Record<string, unknown>>): readonly string[] =>
  Object.entries(flagLetters).flatMap(([name, letters]) =>
    flags[name] === undefined || flags[name] === false ? [] : [letters],
  );

const peerIn = (names: readonly { readonly uri?: string }[]): string | null =>
  plain(names.find(({ uri }) => uri?.startsWith('spiffe://') === true)?.uri);

const word = (text: string | undefined): string | null =>
  text === undefined || text === '' ? null : text.slice(0, 256).toWellFormed();

const plain = (text: string | undefined): string | null =>
  text !== undefined && /^[\x21-\x7e]{1,2048}$/.test(text) ? text : null;

const uuid = (text: string | undefined): string | null =>
  text !== undefined && /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text) ? text : null;

const rounded = (ms: number): number => Math.round(ms * 1_000) / 1_000;

const msOf = (duration: DecodedDuration | undefined): number | null =>
  duration === undefined ? null : rounded(Math.max(0, (duration.seconds ?? 0) * 1_000 + (duration.nanos ?? 0) / 1e6));
