const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const START_GROUP = 3;
const END_GROUP = 4;
const FIXED32 = 5;

/** A range of bytes: `from` inclusive, `to` exclusive. */
export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

/** The range of all bytes. */
export const wholeNumberOf = (bytes: Uint8Array): ByteRange => ({ from: 0, to: bytes.length });

/**
 * Calls back with the range of each length-delimited field `number`, until the bytes are invalid. Fields of a group count as
 * fields of the enclosing message, so it never finds fewer than a codec.
 *
 * @returns whether the message was valid to its end
 * @see https://protobuf.dev/programming-guides/encoding
 */
export function fieldsWithin(
  bytes: Uint8Array,
  message: ByteRange,
  number: number,
  found: (field: ByteRange) => void,
): boolean {
  const at = { offset: message.from, to: message.to };
  while (at.offset < at.to) {
    const tag = varint(bytes, at);
    const length = valueLength(bytes, tag & 7, at);
    if (length === null || length > at.to - at.offset) return false;
    const from = at.offset;
    at.offset += length;
    if ((tag & 7) === LENGTH_DELIMITED && tag >>> 3 === number) found({ from, to: at.offset });
  }
  return true;
}

interface Cursor {
  offset: number;
  readonly to: number;
}

function valueLength(bytes: Uint8Array, wireType: number, at: Cursor): number | null {
  switch (wireType) {
    case VARINT:
      varint(bytes, at);
      return 0;
    case START_GROUP:
    case END_GROUP:
      return 0;
    case FIXED64:
      return 8;
    case FIXED32:
      return 4;
    case LENGTH_DELIMITED:
      return varint(bytes, at);
    default:
      return null;
  }
}

/** Reads a varint of at most 64 bits and returns its low 32: lengths and tags are smaller. */
function varint(bytes: Uint8Array, at: Cursor): number {
  let value = 0;
  for (let shift = 0; at.offset < at.to && shift < 70; shift += 7) {
    const byte = bytes[at.offset] ?? 0;
    at.offset += 1;
    if (shift < 32) value |= (byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  return value >>> 0;
}
