import { readDelimited, fieldReaders, type FieldReaders } from '../../../core/protobuf/reader.ts';
import { isTextAt } from '../access-log/log-text.ts';
import { WireReader } from '../wire-reader.ts';

/** How much of an XFCC header is read, from its end, where the proxy itself wrote. */
const MAX_XFCC_CHARS = 2_048;
/** Longest SPIFFE ID; longer IDs are not kept. */
const MAX_PRINCIPAL_CHARS = 2_048;

/**
 * The caller of a CheckRequest according to the proxy, without decoding the rest: the principal, or the last `URI` of the last
 * XFCC header. Unverified, so use it for rate limits only; a false name is denied by identity before any signature is checked.
 * Empty if there is none or it is too long.
 */
export function askingAgentIn(bytes: Uint8Array, mode: 'peer' | 'xfcc'): string {
  const reader = new WireReader(bytes);
  const found: ReadHeaders = { isXfcc: false, value: '', agent: '' };
  reader.whole(mode === 'peer' ? ofPeer : ofXfcc, found);
  return found.agent;
}

/**
 * Whether a CheckRequest has a `DPoP` header, without decoding the rest. It proves nothing. Calls without a proof are counted by connection
 * before decoding, calls with a proof after its verification.
 */
export function carriesProof(bytes: Uint8Array): boolean {
  const reader = new WireReader(bytes);
  const seen = { hasProof: false };
  reader.whole(ofProof, seen);
  return seen.hasProof;
}

interface ReadHeaders {
  /** Whether the header being read is `x-forwarded-client-cert`. */
  isXfcc: boolean;
  value: string;
  agent: string;
}

type Looking = FieldReaders<ReadHeaders, WireReader>;

/** A message in which a single field is read. */
const within = <T>(field: number, fields: FieldReaders<T, WireReader>): FieldReaders<T, WireReader> =>
  fieldReaders({ [field]: readDelimited(field, (found: T, reader: WireReader) => void reader.message(fields, found)) });

const principal: Looking = fieldReaders({
  4: readDelimited(4, (found: ReadHeaders, reader: WireReader) => {
    const text = reader.text();
    found.agent = text.length <= MAX_PRINCIPAL_CHARS ? text : '';
  }),
});
const ofPeer = within(1, within(1, principal));

const isXfccAt = isTextAt('x-forwarded-client-cert');
const isProofAt = isTextAt('dpop');

/** A header in either form: `value` or `raw_value`. Names are compared in place: this runs for every header of every check. */
const header: Looking = fieldReaders({
  1: readDelimited(1, (found: ReadHeaders, reader: WireReader) => void (found.isXfcc = reader.made(isXfccAt))),
  2: readDelimited(2, readValue),
  3: readDelimited(2, readValue),
});

function readValue(found: ReadHeaders, reader: WireReader): void {
  if (found.isXfcc) found.value = reader.made(endAt);
  else reader.pass();
}

const endAt = (bytes: Buffer, from: number, to: number): string =>
  bytes.toString('latin1', Math.max(from, to - MAX_XFCC_CHARS), to);

/** Anchored at the start, so that a text without a URI is scanned only once. */
const LAST_URI = /^.*\bURI=([^;,"]*)/s;

const readHeader = readDelimited(null, (found: ReadHeaders, reader: WireReader) => {
  found.isXfcc = false;
  found.value = '';
  reader.message(header, found);
  if (found.value !== '') found.agent = LAST_URI.exec(found.value)?.[1] ?? '';
});

const headerMap: Looking = fieldReaders({ 1: readHeader });
const http: Looking = fieldReaders({
  3: readHeader,
  13: readDelimited(13, (found: ReadHeaders, reader: WireReader) => void reader.message(headerMap, found)),
});
const ofXfcc = within(1, within(4, within(2, http)));

type Proving = FieldReaders<{ hasProof: boolean }, WireReader>;

const proofName: Proving = fieldReaders({
  1: readDelimited(1, (seen: { hasProof: boolean }, reader: WireReader) => {
    if (reader.made(isProofAt)) seen.hasProof = true;
  }),
});
const proofHeader = (field: number | null) =>
  readDelimited(field, (seen: { hasProof: boolean }, reader: WireReader) => void reader.message(proofName, seen));
const proofHeaders: Proving = fieldReaders({ 1: proofHeader(null) });
const ofProof = within(
  1,
  within(
    4,
    within(
      2,
      fieldReaders({
        3: proofHeader(null),
        13: readDelimited(
          13,
          (seen: { hasProof: boolean }, reader: WireReader) => void reader.message(proofHeaders, seen),
        ),
      }),
    ),
  ),
);
