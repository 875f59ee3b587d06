/** A part of some bytes. */
export interface BytesRange {
  readonly from: number;
  /** Not part of it. */
  readonly to: number;
}

/** One field of a message on the wire. */
export interface WireField extends BytesRange {
  readonly number: number;
  readonly wireType: number;
  /** Of a varint and of the two fixed widths, the 64 bits in two halves, both unsigned. */
  readonly low: number;
  readonly high: number;
}

export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH_DELIMITED = 2;
export const FIXED32 = 5;

const MAX_VARINT_BYTES = 10;

/**
 * Calls back with each field of a message, in order, and gives what is wrong as a clause without its subject, or `null`.
 * The message alone is read, not those in it. Stricter than decoders need to be, so that no two of them can differ: a group,
 * a number that is none, a varint in more bytes than it needs or of more than 64 bits, and a length beyond the end are
 * refused. What the callback gives ends the reading. Linear in the number of fields; never reads outside `range`.
 *
 * @see https://protobuf.dev/programming-guides/encoding
 */
export function eachField(
  bytes: Uint8Array,
  range: BytesRange,
  found: (field: WireField) => string | null,
): string | null {
  const at: Cursor = { offset: range.from, to: Math.min(range.to, bytes.length), low: 0, high: 0 };
  while (at.offset < at.to) {
    if (!readVarint(bytes, at)) return BAD_VARINT;
    const number = at.low >>> 3;
    const wireType = at.low & 7;
    if (at.high !== 0 || number === 0) return 'has a field with a number that is none';
    const length = valueLength(bytes, wireType, at);
    if (typeof length === 'string') return length;
    if (length > at.to - at.offset) return 'ends within a field';
    const from = at.offset;
    at.offset += length;
    const problem = found({ number, wireType, low: at.low, high: at.high, from, to: at.offset });
    if (problem !== null) return problem;
  }
  return null;
}

/** Calls back with each varint of a packed field; the same strictness, and the same answer. */
export function eachVarint(
  bytes: Uint8Array,
  range: BytesRange,
  found: (low: number, high: number) => string | null,
): string | null {
  const at: Cursor = { offset: range.from, to: Math.min(range.to, bytes.length), low: 0, high: 0 };
  while (at.offset < at.to) {
    if (!readVarint(bytes, at)) return BAD_VARINT;
    const problem = found(at.low, at.high);
    if (problem !== null) return problem;
  }
  return null;
}

const BAD_VARINT = 'has a number that is not written as protobuf writes it';

interface Cursor {
  offset: number;
  readonly to: number;
  low: number;
  high: number;
}

/** The bytes that the value of a field still takes, after a varint or a length was read. */
function valueLength(bytes: Uint8Array, wireType: number, at: Cursor): number | string {
  switch (wireType) {
    case VARINT:
      return readVarint(bytes, at) ? 0 : BAD_VARINT;
    case LENGTH_DELIMITED:
      if (!readVarint(bytes, at)) return BAD_VARINT;
      return at.high === 0 ? at.low : 'ends within a field';
    case FIXED64:
      at.low = fixed32At(bytes, at.offset);
      at.high = fixed32At(bytes, at.offset + 4);
      return 8;
    case FIXED32:
      at.low = fixed32At(bytes, at.offset);
      at.high = 0;
      return 4;
    default:
      return 'has a group, or a field of no type';
  }
}

/** Little-endian; what is beyond the end counts as 0 and is refused by its length. */
const fixed32At = (bytes: Uint8Array, offset: number): number =>
  ((bytes[offset] ?? 0) |
    ((bytes[offset + 1] ?? 0) << 8) |
    ((bytes[offset + 2] ?? 0) << 16) |
    ((bytes[offset + 3] ?? 0) << 24)) >>>
  0;

/** Reads a varint of at most 64 bits in its shortest form into `low` and `high`; whether it is one. */
function readVarint(bytes: Uint8Array, at: Cursor): boolean {
  let low = 0;
  let high = 0;
  for (let count = 0; count < MAX_VARINT_BYTES && at.offset < at.to; count++) {
    const byte = bytes[at.offset] ?? 0;
    at.offset += 1;
    const bits = byte & 0x7f;
    const shift = 7 * count;
    if (shift < 32) low |= bits << shift;
    if (shift > 28) high |= bits << (shift - 32);
    else if (shift === 28) high |= bits >>> 4;
    if (byte >= 0x80) continue;
    at.low = low >>> 0;
    at.high = high >>> 0;
    const isShortest = count === 0 || byte !== 0;
    return isShortest && (count < MAX_VARINT_BYTES - 1 || byte === 1);
  }
  return false;
}
