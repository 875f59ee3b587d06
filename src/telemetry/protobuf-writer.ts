/** Wire types. */
const VARINT = 0;
const FIXED64 = 1;
const DELIMITED = 2;
const FIXED32 = 5;

/** UTF-8 takes no more for a UTF-16 unit. */
const MAX_BYTES_OF_UNIT = 3;
const MAX_VARINT_BYTES = 10;
const WORD = 2 ** 32;

/**
 * A protobuf message as it is written into one buffer that grows: no object is made for a field. What is written is only ever
 * added to.
 *
 * @see https://protobuf.dev/programming-guides/encoding
 */
export class ProtobufWriter {
  #buffer: Buffer;
  #end = 0;

  /** @param capacity bytes to begin with */
  constructor(capacity = 256) {
    this.#buffer = Buffer.allocUnsafeSlow(capacity);
  }

  /** Bytes written. */
  get length(): number {
    return this.#end;
  }

  /** What was written, in the writer's own memory. */
  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#end);
  }

  /** Begins an embedded message; what it gives is for `close`. */
  open(field: number): number {
    this.#tag(field, DELIMITED);
    // Most are so short that their length takes one byte.
    this.#end += 1;
    return this.#end;
  }

  /** Ends the message that began at `start`, the last that is open. */
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

  /** Fields that are written already. */
  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  /** Text as UTF-8; a lone surrogate becomes U+FFFD. */
  text(field: number, value: string): void {
    const start = this.open(field);
    this.#reserve(value.length * MAX_BYTES_OF_UNIT);
    this.#end += this.#buffer.write(value, this.#end);
    this.close(start);
  }

  /** Bytes that are given in hex. */
  hex(field: number, value: string): void {
    const start = this.open(field);
    this.#reserve(value.length);
    this.#end += this.#buffer.write(value, this.#end, 'hex');
    this.close(start);
  }

  /** A whole number of up to 64 bits, a boolean or an enum; written where it is 0 too. */
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

  /** 64 bits by their halves, each a whole number; of the low one that is over 32 bits, these are carried. */
  fixed64(field: number, high: number, low: number): void {
    this.#tag(field, FIXED64);
    this.#end = this.#buffer.writeUInt32LE(low >>> 0, this.#end);
    this.#end = this.#buffer.writeUInt32LE(high + Math.floor(low / WORD), this.#end);
  }

  /** Leaves room for what comes behind a tag, where that is a number or a length. */
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

/** Fields that are written once, in memory of their own. */
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
