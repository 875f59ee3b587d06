import { readDelimited, fieldReaders, type FieldReaders, WireReader } from './wire-reader.ts';

/** The longest part of an XFCC header that is looked at, from its end: there the proxy itself has written. */
const MAX_XFCC_CHARS = 2_048;
/** The longest SPIFFE ID: of what is longer nothing is kept. */
const MAX_PRINCIPAL_CHARS = 2_048;

/**
 * Whom a CheckRequest is from, by what the proxy says alone and without reading the rest: the principal of the connection, or the
 * last `URI` of the last XFCC header. Nothing is verified, so it is good for counting and for nothing else: who writes another
 * name there is denied by its identity, before a signature is looked at. Empty where there is none, or one that is too long.
 */
export function askingAgentIn(bytes: Uint8Array, mode: 'peer' | 'xfcc'): string {
  const reader = new WireReader(bytes);
  const found: Found = { name: '', value: '', agent: '' };
  reader.whole(mode === 'peer' ? ofPeer : ofXfcc, found);
  return found.agent;
}

/**
 * Whether a CheckRequest carries a `DPoP` header, found without reading the rest. It says nothing of what that proves: who has none is
 * counted for its connection before anything is decoded, who has one once it was verified.
 */
export function carriesProof(bytes: Uint8Array): boolean {
  const reader = new WireReader(bytes);
  const seen = { hasProof: false };
  reader.whole(ofProof, seen);
  return seen.hasProof;
}

interface Found {
  name: string;
  value: string;
  agent: string;
}

type Looking = FieldReaders<Found, WireReader>;

/** A message of which one field is looked into. */
const within = <T>(field: number, fields: FieldReaders<T, WireReader>): FieldReaders<T, WireReader> =>
  fieldReaders({ [field]: readDelimited(field, (found: T, reader: WireReader) => void reader.message(fields, found)) });

const principal: Looking = fieldReaders({
  4: readDelimited(4, (found: Found, reader: WireReader) => {
    const text = reader.text();
    found.agent = text.length <= MAX_PRINCIPAL_CHARS ? text : '';
  }),
});
const ofPeer = within(1, within(1, principal));

/** A header of either shape: the value is `value` or `raw_value`. */
const header: Looking = fieldReaders({
  1: readDelimited(1, (found: Found, reader: WireReader) => void (found.name = reader.text())),
  2: readDelimited(2, readValue),
  3: readDelimited(2, readValue),
});

function readValue(found: Found, reader: WireReader): void {
  const bytes = reader.raw();
  if (found.name === 'x-forwarded-client-cert') found.value = bytes.toString('latin1', bytes.length - MAX_XFCC_CHARS);
}

/** From the begin, so that one without a URI is not looked through again from each of its characters. */
const LAST_URI = /^.*\bURI=([^;,"]*)/s;

const readHeader = readDelimited(null, (found: Found, reader: WireReader) => {
  found.value = '';
  reader.message(header, found);
  if (found.value !== '') found.agent = LAST_URI.exec(found.value)?.[1] ?? '';
});

const headerMap: Looking = fieldReaders({ 1: readHeader });
const http: Looking = fieldReaders({
  3: readHeader,
  13: readDelimited(13, (found: Found, reader: WireReader) => void reader.message(headerMap, found)),
});
const ofXfcc = within(1, within(4, within(2, http)));

type Proving = FieldReaders<{ hasProof: boolean }, WireReader>;

const proofName: Proving = fieldReaders({
  1: readDelimited(1, (seen: { hasProof: boolean }, reader: WireReader) => {
    if (reader.text() === 'dpop') seen.hasProof = true;
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
