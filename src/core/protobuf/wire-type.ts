/** Wire types. Groups (3 and 4) are refused everywhere. @see https://protobuf.dev/programming-guides/encoding */
export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH_DELIMITED = 2;
export const FIXED32 = 5;
