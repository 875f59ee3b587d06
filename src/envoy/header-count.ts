/** The fields that lead from a CheckRequest to its headers, as in proto/envoy/service/auth/v3. */
const ATTRIBUTES = 1;
const REQUEST = 4;
const HTTP = 2;
const HEADERS = 3;
const HEADER_MAP = 13;
const HEADER_MAP_ENTRIES = 1;

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

/**
 * How many headers a serialised CheckRequest has, in either shape, counted without decoding it: an entry of two bytes
 * becomes an object of hundreds, so the number is bounded before any is made. Bytes that are no message count as many as
 * were met; the codec refuses them.
 *
 * @see https://protobuf.dev/programming-guides/encoding
 */
export function headerCountOf(bytes: Uint8Array): number {
  let count = 0;
  within(bytes, { from: 0, to: bytes.length }, ATTRIBUTES, (attributes) => {
    within(bytes, attributes, REQUEST, (request) => {
      within(bytes, request, HTTP, (http) => {
        within(bytes, http, HEADERS, () => (count += 1));
        within(bytes, http, HEADER_MAP, (map) => {
          within(bytes, map, HEADER_MAP_ENTRIES, () => (count += 1));
        });
      });
    });
  });
  return count;
}

interface Range {
  readonly from: number;
  readonly to: number;
}

/** Calls back with the range of each length-delimited field `number` of the message in `message`. */
function within(bytes: Uint8Array, message: Range, number: number, found: (field: Range) => void): void {
  const at = { offset: message.from, to: message.to };
  while (at.offset < at.to) {
    const tag = varint(bytes, at);
    const length = valueLength(bytes, tag & 7, at);
    if (length === null || length > at.to - at.offset) return;
    const from = at.offset;
    at.offset += length;
    if ((tag & 7) === LENGTH_DELIMITED && tag >>> 3 === number) found({ from, to: at.offset });
  }
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

/** A varint of at most 64 bits, of which the low 32 count: lengths and tags are smaller. */
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
