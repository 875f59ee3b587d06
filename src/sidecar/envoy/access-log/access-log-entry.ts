import type { ServedCall } from '../../outcome/served-call.ts';
import { callNameOf } from '../grpc/call-name.ts';
import { emptyDraft, httpEntry, rounded, type EntryDraft } from './entry-fields.ts';
import { EntryReader } from './entry-reader.ts';
import { loggedDecisionFrom } from './logged-decision.ts';
import { responseFlagsFrom } from './response-flags.ts';
import { allOf, type ByteRange } from '../../../core/protobuf/reader.ts';

/** Why an entry cannot be parsed. */
export interface EntryProblem {
  readonly problem: string;
}

/** A larger entry is refused, which ends its stream. */
const MAX_ENTRY_BYTES = 131_072;

/**
 * Parses one access log entry. `null` for entries other than the end or a periodic report of a call: starts, and upstream-only
 * entries.
 *
 * One pass, in place; unused fields are skipped. What Envoy never writes and decoders read differently is refused: known fields
 * that repeat or have another wire type, map keys that repeat or follow their value. Never throws.
 *
 * @param bytes contains the serialised `HTTPAccessLogEntry`; nothing refers to it afterwards
 * @param entry its range, default all
 * @see proto/envoy/data/accesslog/v3/accesslog.proto
 */
export function servedCallFrom(bytes: Buffer, entry: ByteRange = allOf(bytes)): ServedCall | EntryProblem | null {
  if (entry.to - entry.from > MAX_ENTRY_BYTES) return { problem: `an entry has more than ${MAX_ENTRY_BYTES} bytes` };
  const reader = new EntryReader(bytes, entry);
  const draft = reader.whole(httpEntry, emptyDraft());
  if (reader.problem !== null) return { problem: reader.problem.detail };
  const state = stateOf(draft);
  return state === null ? null : callFrom(draft, state);
}

/** By `AccessLogType`; before 1.26 Envoy only says whether the entry is intermediate. */
function stateOf({ type, isIntermediate }: EntryDraft): ServedCall['state'] | null {
  switch (type) {
    case 0:
      return isIntermediate ? 'alive' : 'ended';
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

const callFrom = (draft: EntryDraft, state: ServedCall['state']): ServedCall => ({
  state,
  decision: loggedDecisionFrom(draft),
  status: draft.status,
  details: draft.details ?? '',
  flags: responseFlagsFrom(draft),
  durationMs: draft.durationMs,
  upstreamMs: upstreamMsOf(draft),
  requestBytes: draft.requestBytes,
  responseBytes: draft.responseBytes,
  attempts: Math.max(draft.attempts, draft.sentMs === null ? 0 : 1),
  upstreamCluster: draft.upstreamCluster,
  isFailureModeAllowed: draft.isFailureModeAllowed,
  peer: draft.peer ?? null,
  method: methods[draft.method] ?? '',
  host: draft.host,
  path: draft.path,
  requestId: draft.requestId,
  callName: callNameOf({ seconds: draft.beganS, nanos: draft.beganNanos }, draft),
});

/** `RequestMethod` by number. */
const methods: readonly string[] = ['', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'];

const upstreamMsOf = ({ sentMs, receivedMs }: EntryDraft): number | null =>
  sentMs === null || receivedMs === null ? null : rounded(Math.max(0, receivedMs - sentMs));
