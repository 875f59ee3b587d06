import { type ByteRange, ProtobufReader } from './reader.ts';
import { FIXED32, FIXED64, LENGTH_DELIMITED, VARINT } from './wire-type.ts';

/** One field of a message on the wire. */
export interface WireField extends ByteRange {
  readonly number: number;
  readonly wireType: number;
  /** The value of a varint or a fixed-width field in two unsigned halves of 32 bits; otherwise the length of the content. */
  readonly low: number;
  readonly high: number;
}

/**
 * Calls back with each field of a message, in order. Embedded messages are passed as bytes and not read. Stricter than decoders need to
 * be, so that no two of them can differ: refuses groups, invalid field numbers, varints of more bytes than needed or of more than 64 bits,
 * and lengths beyond the end. A text returned by the callback stops the reading. Linear in the number of fields; never reads outside
 * `range`.
 *
 * @returns the problem as a clause without its subject, such as `has a group`; `null` if there is none
 *
 * @see https://protobuf.dev/programming-guides/encoding
 */
export function eachField(
  bytes: Uint8Array,
  range: ByteRange,
  found: (field: WireField) => string | null,
): string | null {
  const reader = readerOf(bytes, range);
  while (reader.left > 0) {
    if (reader.varint64() !== true) return BAD_VARINT;
    const number = reader.low >>> 3;
    const wireType = reader.low & 7;
    if (reader.high !== 0 || number === 0) return 'has a field with an invalid number';
    const width = widthOf(reader, wireType);
    if (typeof width === 'string') return width;
    const to = reader.at;
    const problem = found({ number, wireType, low: reader.low, high: reader.high, from: to - width, to });
    if (problem !== null) return problem;
  }
  return null;
}

/** Calls back with each varint of a packed field, as strictly as `eachField` and with the same result. */
export function eachVarint(
  bytes: Uint8Array,
  range: ByteRange,
  found: (low: number, high: number) => string | null,
): string | null {
  const reader = readerOf(bytes, range);
  while (reader.left > 0) {
    if (reader.varint64() !== true) return BAD_VARINT;
    const problem = found(reader.low, reader.high);
    if (problem !== null) return problem;
  }
  return null;
}

const BAD_VARINT = 'has a number that is not written as protobuf writes it';
const CUT = 'ends within a field';

const readerOf = (bytes: Uint8Array, { from, to }: ByteRange): ProtobufReader =>
  new ProtobufReader(bytes, { from, to: Math.min(to, bytes.length) });

/** Reads a value. Returns the number of bytes of its content (0 for a varint), or the problem. */
function widthOf(reader: ProtobufReader, wireType: number): number | string {
  switch (wireType) {
    case VARINT:
      return reader.varint64() === true ? 0 : BAD_VARINT;
    case LENGTH_DELIMITED:
      if (reader.varint64() !== true) return BAD_VARINT;
      return reader.high === 0 && reader.advance(reader.low) ? reader.low : CUT;
    case FIXED64:
      return reader.fixed(8) ? 8 : CUT;
    case FIXED32:
      return reader.fixed(4) ? 4 : CUT;
    default:
      return 'has a group, or an unknown wire type';
  }
}
