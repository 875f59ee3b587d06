import { LENGTH_DELIMITED, VARINT } from './wire-type.ts';

/**
 * Builds protobuf messages as strings with one byte per character, which are concatenated and converted to bytes once. Constant
 * parts are built at start.
 *
 * @see https://protobuf.dev/programming-guides/encoding
 */

/** A length-delimited field: bytes, an embedded message, or text encoded by `utf8`. */
export const delimitedField = (number: number, content: string): string =>
  varint((number << 3) | LENGTH_DELIMITED) + varint(content.length) + content;

/** A number, boolean or enum field; 0 is written too. */
export const number = (field: number, value: number): string => varint((field << 3) | VARINT) + varint(value);

/** A text field. */
export const textField = (field: number, value: string): string => delimitedField(field, utf8(value));

/** The bytes of a message. */
export const messageBytes = (message: string): Buffer => Buffer.from(message, 'latin1');

const utf8 = (value: string): string =>
  // oxlint-disable-next-line no-control-regex -- all of ASCII
  /^[\x00-\x7f]*$/.test(value) ? value : Buffer.from(value, 'utf8').toString('latin1');

function varint(value: number): string {
  let rest = value >>> 0;
  let written = '';
  while (rest > 0x7f) {
    written += String.fromCharCode((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  return written + String.fromCharCode(rest);
}
