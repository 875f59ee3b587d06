import { FIXED32, FIXED64, LENGTH_DELIMITED, VARINT } from './wire-type.ts';

/** Most UTF-8 bytes per UTF-16 code unit. */
const MAX_BYTES_OF_UNIT = 3;
const MAX_VARINT_BYTES = 10;
const WORD = 2 ** 32;

/**
 * Writes a protobuf message into one growing buffer, without an object per field. Append-only, until it is cleared.
 *
 * @see https://protobuf.dev/programming-guides/encoding
 */
export class ProtobufWriter {
  #buffer: Buffer;
  #end = 0;

  /** @param capacity initial size in bytes */
  constructor(capacity = 256) {
    this.#buffer = Buffer.allocUnsafeSlow(capacity);
  }

  /** Bytes written. */
  get length(): number {
    return this.#end;
  }

  /** The written bytes, as a view of the writer's buffer. */
  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#end);
  }

  /** Begins another message in the same buffer: what `bytes` gave before is overwritten. */
  clear(): void {
    this.#end = 0;
  }

  /** Starts an embedded message; pass the result to `close`. */
  open(field: number): number {
    this.#tag(field, LENGTH_DELIMITED);
    // Reserves one byte for the length, which suffices for most messages.
    this.#end += 1;
    return this.#end;
  }

  /** Ends the message that began at `start`, which must be the last open message. */
  close(start: number): void {
    const length = this.#end - start;
    const more = varintBytes(length) - 1;
    if (more > 0) {
      this.#reserve(more);
      this.#buffer.copyWithin(start + more, start, this.#end);
      this.#end += more;
    }
    this.#putVarint(start - 1, length);
  }

  /** Appends serialised fields. */
  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  /** A bytes field, or an embedded message that is serialised already. */
  bytesField(field: number, bytes: Uint8Array): void {
    this.#tag(field, LENGTH_DELIMITED);
    this.#end = this.#putVarint(this.#end, bytes.length);
    this.raw(bytes);
  }

  /** A string field; a lone surrogate becomes U+FFFD. */
  text(field: number, value: string): void {
    const start = this.open(field);
    this.#reserve(value.length * MAX_BYTES_OF_UNIT);
    this.#end += this.#buffer.write(value, this.#end);
    this.close(start);
  }

  /** A bytes field, given in hex. */
  hex(field: number, value: string): void {
    const start = this.open(field);
    this.#reserve(value.length);
    this.#end += this.#buffer.write(value, this.#end, 'hex');
    this.close(start);
  }

  /** A whole number of up to 64 bits, a boolean or an enum; 0 is written too. */
  integer(field: number, value: number): void {
    this.#tag(field, VARINT);
    this.#end =
      value >= 0 && value <= 0x7fff_ffff
        ? this.#putVarint(this.#end, value)
        : this.#putLargeVarint(this.#end, BigInt.asUintN(64, BigInt(value)));
  }

  double(field: number, value: number): void {
    this.#tag(field, FIXED64);
    this.#end = this.#buffer.writeDoubleLE(value, this.#end);
  }

  fixed32(field: number, value: number): void {
    this.#tag(field, FIXED32);
    this.#end = this.#buffer.writeUInt32LE(value, this.#end);
  }

  /** A fixed64 field by its halves, whole numbers; a carry from the low half is added to the high half. */
  fixed64(field: number, high: number, low: number): void {
    this.#tag(field, FIXED64);
    this.#end = this.#buffer.writeUInt32LE(low >>> 0, this.#end);
    this.#end = this.#buffer.writeUInt32LE(high + Math.floor(low / WORD), this.#end);
  }

  /** Writes a tag and ensures room for a number or a length after it. */
  #tag(field: number, wireType: number): void {
    this.#reserve(2 * MAX_VARINT_BYTES);
    this.#end = this.#putVarint(this.#end, (field << 3) | wireType);
  }

  #putVarint(at: number, value: number): number {
    let end = at;
    let rest = value;
    while (rest > 0x7f) {
      this.#buffer[end++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#buffer[end++] = rest;
    return end;
  }

  #putLargeVarint(at: number, value: bigint): number {
    let end = at;
    let rest = value;
    while (rest > 0x7fn) {
      this.#buffer[end++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#buffer[end++] = Number(rest);
    return end;
  }

  #reserve(bytes: number): void {
    const needed = this.#end + bytes;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2));
    larger.set(this.bytes);
    this.#buffer = larger;
  }
}

/** Serialises fields into memory of their own. */
export function fieldsBy(write: (into: ProtobufWriter) => void): Uint8Array {
  const into = new ProtobufWriter();
  write(into);
  return Uint8Array.from(into.bytes);
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) bytes += 1;
  return bytes;
}
