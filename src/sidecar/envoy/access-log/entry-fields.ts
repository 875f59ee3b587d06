import { readDelimited, fieldReaders, varint, type FieldReaders } from '../../../core/protobuf/reader.ts';
import type { EntryReader } from './entry-reader.ts';
import { clientTextAt, idAt, isTextAt, pathAt, spiffeIdAt, wordAt } from './log-text.ts';
import { loggedMetadata, type LoggedDraft } from './logged-decision.ts';
import { responseFlags, type FlagsDraft } from './response-flags.ts';

/** The used fields of an entry. Absent fields have the defaults here, or `null` if the default would be ambiguous. */
export interface EntryDraft extends LoggedDraft, FlagsDraft {
  /** Seconds of the duration being read. */
  seconds: number;
  nanos: number;
  beganS: number;
  beganNanos: number;
  address: string;
  port: number;
  sentMs: number | null;
  receivedMs: number | null;
  durationMs: number | null;
  upstreamCluster: string | null;
  attempts: number;
  isIntermediate: boolean;
  type: number;
  /** `undefined` before the first SPIFFE ID. */
  peer: string | null | undefined;
  method: number;
  host: string;
  path: string;
  requestId: string | null;
  requestBytes: number;
  isFailureModeAllowed: boolean;
  status: number | null;
  responseBytes: number;
  details: string | null;
}

/** The draft of an empty entry. */
export const emptyDraft = (): EntryDraft => ({
  id: null,
  kind: null,
  task: null,
  agent: null,
  action: null,
  ledger: null,
  isOurs: null,
  isOursRead: false,
  value: null,
  valuesRead: 0,
  texts: 0,
  flags: 0,
  seconds: 0,
  nanos: 0,
  beganS: 0,
  beganNanos: 0,
  address: '',
  port: 0,
  sentMs: null,
  receivedMs: null,
  durationMs: null,
  upstreamCluster: null,
  attempts: 0,
  isIntermediate: false,
  type: 0,
  peer: undefined,
  method: 0,
  host: '',
  path: '',
  requestId: null,
  requestBytes: 0,
  isFailureModeAllowed: false,
  status: null,
  responseBytes: 0,
  details: null,
});

function int32Of(reader: EntryReader): number {
  const value = reader.int64();
  if (value !== (value | 0)) reader.malformed('a number has more bits than its field');
  return value;
}

type Target = FieldReaders<EntryDraft, EntryReader>;

const duration: Target = fieldReaders({
  1: varint(1, (draft, reader) => void (draft.seconds = reader.int64())),
  2: varint(2, (draft, reader) => void (draft.nanos = int32Of(reader))),
});

/** Rounds milliseconds to three decimal places. */
export const rounded = (ms: number): number => Math.round(ms * 1_000) / 1_000;

/** Reads a duration in milliseconds; 0 if it is negative. */
function msOf(draft: EntryDraft, reader: EntryReader): number {
  draft.seconds = 0;
  draft.nanos = 0;
  reader.message(duration, draft);
  return rounded(Math.max(0, draft.seconds * 1_000 + draft.nanos / 1e6));
}

/** Reads a size; 2^63 or more reads as negative. */
const sizeOf = (reader: EntryReader): number => {
  const size = reader.int64();
  return size < 0 ? Number.MAX_SAFE_INTEGER : Math.min(size, Number.MAX_SAFE_INTEGER);
};

/** Envoy adds this header to a request that passed because its check failed, with `failure_mode_allow_header_add`. */
const isFailureModeHeader = isTextAt('x-envoy-auth-failure-mode-allowed');

/** The members of a `oneof` share a slot. */
const subjectAltName: Target = fieldReaders({
  1: readDelimited(1, (draft, reader) => {
    if (draft.peer === undefined) draft.peer = reader.made(spiffeIdAt);
    else reader.pass();
  }),
  2: readDelimited(1, (_, reader) => reader.pass()),
});

const certificate: Target = fieldReaders({
  1: readDelimited(null, (draft, reader) => {
    if (reader.isPartWithin()) reader.message(subjectAltName, draft);
  }),
});

const tls: Target = fieldReaders({
  5: readDelimited(5, (draft, reader) => void reader.message(certificate, draft)),
});

const beganAt: Target = fieldReaders({
  1: varint(1, (draft, reader) => void (draft.beganS = reader.int64())),
  2: varint(2, (draft, reader) => void (draft.beganNanos = int32Of(reader))),
});

const socketAddress: Target = fieldReaders({
  2: readDelimited(2, (draft, reader) => void (draft.address = reader.made(wordAt) ?? '')),
  3: varint(3, (draft, reader) => void (draft.port = reader.uint32())),
});

const directAddress: Target = fieldReaders({
  1: readDelimited(1, (draft, reader) => void reader.message(socketAddress, draft)),
});

const common: Target = fieldReaders({
  4: readDelimited(4, (draft, reader) => void reader.message(tls, draft)),
  5: readDelimited(5, (draft, reader) => void reader.message(beganAt, draft)),
  7: readDelimited(7, (draft, reader) => void (draft.sentMs = msOf(draft, reader))),
  10: readDelimited(10, (draft, reader) => void (draft.receivedMs = msOf(draft, reader))),
  15: readDelimited(15, (draft, reader) => void (draft.upstreamCluster = reader.made(wordAt))),
  16: readDelimited(16, (draft, reader) => void reader.message(responseFlags, draft)),
  17: readDelimited(17, (draft, reader) => void reader.message(loggedMetadata, draft)),
  20: readDelimited(20, (draft, reader) => void reader.message(directAddress, draft)),
  23: readDelimited(23, (draft, reader) => void (draft.durationMs = msOf(draft, reader))),
  24: varint(24, (draft, reader) => void (draft.attempts = reader.uint32())),
  27: varint(27, (draft, reader) => void (draft.isIntermediate = reader.uint32() !== 0)),
  33: varint(30, (draft, reader) => void (draft.type = reader.uint32())),
});

const header: Target = fieldReaders({
  1: readDelimited(1, (draft, reader) => {
    if (reader.made(isFailureModeHeader)) draft.isFailureModeAllowed = true;
  }),
});

const request: Target = fieldReaders({
  1: varint(1, (draft, reader) => void (draft.method = reader.uint32())),
  3: readDelimited(3, (draft, reader) => void (draft.host = reader.made(clientTextAt))),
  5: readDelimited(5, (draft, reader) => void (draft.path = reader.made(pathAt))),
  9: readDelimited(9, (draft, reader) => void (draft.requestId = reader.made(idAt))),
  12: varint(12, (draft, reader) => void (draft.requestBytes = sizeOf(reader))),
  13: readDelimited(null, (draft, reader) => {
    if (reader.isPartWithin()) reader.message(header, draft);
  }),
});

const statusCode: Target = fieldReaders({
  1: varint(1, (draft, reader) => void (draft.status = reader.uint32())),
});

const response: Target = fieldReaders({
  1: readDelimited(1, (draft, reader) => void reader.message(statusCode, draft)),
  3: varint(3, (draft, reader) => void (draft.responseBytes = sizeOf(reader))),
  6: readDelimited(6, (draft, reader) => void (draft.details = reader.made(wordAt))),
});

/** `HTTPAccessLogEntry`. @see proto/envoy/data/accesslog/v3/accesslog.proto */
export const httpEntry: Target = fieldReaders({
  1: readDelimited(1, (draft, reader) => void reader.message(common, draft)),
  3: readDelimited(3, (draft, reader) => void reader.message(request, draft)),
  4: readDelimited(4, (draft, reader) => void reader.message(response, draft)),
});
