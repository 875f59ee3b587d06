import type { ServedCall } from '../outcome/served-call.ts';
import { emptyDraft, httpEntry, rounded, type EntryDraft } from './entry-fields.ts';
import { EntryReader } from './entry-reader.ts';
import { loggedDecisionFrom } from './logged-decision.ts';
import { responseFlagsFrom } from './response-flags.ts';
import { wholeNumberOf, type ByteRange } from './wire-fields.ts';

/** Why an entry cannot be read. */
export interface EntryProblem {
  readonly problem: string;
}

/** One over it is refused, and its stream with it. */
const MAX_ENTRY_BYTES = 131_072;

/**
 * The call that one entry of the access log tells of. An entry of another time than the end or the middle of a call is `null`:
 * the start, and what concerns an upstream alone.
 *
 * It is read in one pass, in place: the fields that are used, the others skipped by their length. What no Envoy writes and
 * decoders read in different ways is refused and not guessed: a known field that is there twice or of another wire type, a key
 * of a map twice or after its value. Never throws.
 *
 * @param bytes what the serialised `HTTPAccessLogEntry` is in; nothing refers to them afterwards
 * @param entry where it is in them, by default all
 * @see proto/envoy/data/accesslog/v3/accesslog.proto
 */
export function servedCallFrom(
  bytes: Buffer,
  entry: ByteRange = wholeNumberOf(bytes),
): ServedCall | EntryProblem | null {
  if (entry.to - entry.from > MAX_ENTRY_BYTES) return { problem: `an entry has more than ${MAX_ENTRY_BYTES} bytes` };
  const reader = new EntryReader(bytes, entry);
  const draft = reader.whole(httpEntry, emptyDraft());
  if (reader.problem !== null) return { problem: reader.problem.detail };
  const state = stateOf(draft);
  return state === null ? null : callFrom(draft, state);
}

/** `AccessLogType`; Envoy before 1.26 has none and says whether the entry is an intermediate one. */
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
});

/** `RequestMethod`, by number. */
const methods: readonly string[] = ['', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'];

const upstreamMsOf = ({ sentMs, receivedMs }: EntryDraft): number | null =>
  sentMs === null || receivedMs === null ? null : rounded(Math.max(0, receivedMs - sentMs));
