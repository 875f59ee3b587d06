import type { LoggedDecision, ServedCall } from '../outcome/served-call.ts';
import { recordText } from '../ledger/record.ts';
import { loggedDecisionFrom, plain } from './logged-decision.ts';
import { accessLogEntryType } from './proto.ts';
import { responseFlagsFrom, type DecodedFlags } from './response-flags.ts';
import { fieldsWithin, wholeOf } from './wire-fields.ts';

/** Why an entry cannot be read. */
export interface EntryProblem {
  readonly problem: string;
}

/** Bounds of an entry; one over them is refused, and its stream with it. */
const MAX_ENTRY_BYTES = 131_072;
/** Of headers, names of a certificate and namespaces: each can be an object of hundreds of bytes for four. */
const MAX_PARTS = 256;
/** Of text that only the proxy chooses. */
const MAX_WORD_CHARS = 256;

/** What is read of an entry. */
interface DecodedEntry {
  readonly common_properties?: {
    readonly tls_properties?: {
      readonly peer_certificate_properties?: { readonly subject_alt_name?: readonly { readonly uri?: string }[] };
    };
    readonly time_to_first_upstream_tx_byte?: DecodedDuration;
    readonly time_to_last_upstream_rx_byte?: DecodedDuration;
    readonly duration?: DecodedDuration;
    readonly upstream_cluster?: string;
    readonly response_flags?: DecodedFlags;
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

/** Envoy adds it to a request that it let pass because the check failed, with `failure_mode_allow_header_add`. */
const FAILURE_MODE_HEADER = 'x-envoy-auth-failure-mode-allowed';

/**
 * The call that one entry of the access log tells of. An entry of another time than the end or the middle of a call is `null`:
 * the start, and what concerns an upstream alone.
 *
 * @param bytes a serialised `HTTPAccessLogEntry`
 * @see proto/envoy/data/accesslog/v3/accesslog.proto
 */
export function servedCallFrom(bytes: Buffer): ServedCall | EntryProblem | null {
  if (bytes.length > MAX_ENTRY_BYTES) return { problem: `an entry has more than ${MAX_ENTRY_BYTES} bytes` };
  if (partCountOf(bytes) > MAX_PARTS)
    return { problem: `an entry has more than ${MAX_PARTS} headers, names and namespaces` };
  try {
    // The codec has given every field its declared type; `DecodedEntry` names those that are read.
    const entry: DecodedEntry = accessLogEntryType.deserialize(bytes);
    const state = stateOf(entry);
    return state === null ? null : callFrom(entry, state, loggedDecisionFrom(bytes));
  } catch (error) {
    return { problem: `not an access log entry: ${error instanceof Error ? error.name : 'unknown error'}` };
  }
}

/** `AccessLogType`; Envoy before 1.26 has none and says whether the entry is an intermediate one. */
function stateOf({ common_properties: common = {} }: DecodedEntry): ServedCall['state'] | null {
  switch (common.access_log_type ?? 0) {
    case 0:
      return common.intermediate_log_entry === true ? 'alive' : 'ended';
    case 4: // DownstreamStart
    case 5: // DownstreamPeriodic
    case 10: // DownstreamTunnelSuccessfullyEstablished
      return 'alive';
    case 6: // DownstreamEnd
      return 'ended';
    default:
      return null;
  }
}

function callFrom(
  { common_properties: common = {}, request = {}, response = {} }: DecodedEntry,
  state: ServedCall['state'],
  decision: LoggedDecision | null,
): ServedCall {
  const sentMs = msOf(common.time_to_first_upstream_tx_byte);
  const receivedMs = msOf(common.time_to_last_upstream_rx_byte);
  return {
    state,
    decision,
    status: response.response_code?.value ?? null,
    details: word(response.response_code_details) ?? '',
    flags: responseFlagsFrom(common.response_flags ?? {}),
    durationMs: msOf(common.duration),
    upstreamMs: sentMs === null || receivedMs === null ? null : rounded(Math.max(0, receivedMs - sentMs)),
    requestBytes: sizeOf(request.request_body_bytes),
    responseBytes: sizeOf(response.response_body_bytes),
    attempts: Math.max(common.upstream_request_attempt_count ?? 0, sentMs === null ? 0 : 1),
    upstreamCluster: word(common.upstream_cluster),
    isFailureModeAllowed: request.request_headers?.[FAILURE_MODE_HEADER] !== undefined,
    peer: peerFrom(common.tls_properties),
    method: methods[request.request_method ?? 0] ?? '',
    host: recordText(request.authority ?? ''),
    path: recordText((request.path ?? '').split(/[?#]/, 1)[0] ?? ''),
    requestId: word(request.request_id),
  };
}

/** `RequestMethod`, by number. */
const methods: readonly string[] = ['', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'];

const word = (text: string | undefined): string | null =>
  text === undefined || text === '' ? null : text.slice(0, MAX_WORD_CHARS).toWellFormed();

const rounded = (ms: number): number => Math.round(ms * 1_000) / 1_000;

const msOf = (duration: DecodedDuration | undefined): number | null =>
  duration === undefined ? null : rounded(Math.max(0, (duration.seconds ?? 0) * 1_000 + (duration.nanos ?? 0) / 1e6));

const sizeOf = (bytes: number | undefined): number => Math.min(Math.max(0, bytes ?? 0), Number.MAX_SAFE_INTEGER);

const peerFrom = (tls: NonNullable<DecodedEntry['common_properties']>['tls_properties']): string | null => {
  const names = tls?.peer_certificate_properties?.subject_alt_name ?? [];
  return plain(names.find(({ uri }) => uri?.startsWith('spiffe://'))?.uri);
};

/** The numbers of the fields that are counted or found without decoding what lies around them. */
const COMMON = 1;
const TLS = 4;
const PEER_CERTIFICATE = 5;
const SUBJECT_ALT_NAME = 1;
const METADATA = 17;
const FILTER_METADATA = 1;
const REQUEST = 3;
const REQUEST_HEADERS = 13;

function partCountOf(bytes: Buffer): number {
  let count = 0;
  const add = (): void => void (count += 1);
  fieldsWithin(bytes, wholeOf(bytes), REQUEST, (request) => void fieldsWithin(bytes, request, REQUEST_HEADERS, add));
  fieldsWithin(bytes, wholeOf(bytes), COMMON, (common) => {
    fieldsWithin(bytes, common, METADATA, (metadata) => void fieldsWithin(bytes, metadata, FILTER_METADATA, add));
    fieldsWithin(bytes, common, TLS, (tls) => {
      fieldsWithin(bytes, tls, PEER_CERTIFICATE, (peer) => void fieldsWithin(bytes, peer, SUBJECT_ALT_NAME, add));
    });
  });
  return count;
}
