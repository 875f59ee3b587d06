import { utf8From } from './utf8.ts';
import { FIXED32, FIXED64, LENGTH_DELIMITED, VARINT } from './wire-type.ts';

/** A range of bytes: `from` inclusive, `to` exclusive. */
export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

/** The range of all bytes. */
export const allOf = (bytes: Uint8Array): ByteRange => ({ from: 0, to: bytes.length });

/** What can be wrong with the bytes of a message. */
export type WireFault =
  'beyond-end' | 'endless-number' | 'field-number' | 'unknown-wire-type' | 'other-wire-type' | 'twice' | 'not-utf8';

/** How a field is read into its message. */
export interface FieldReader<T, R extends ProtobufReader> {
  readonly wireType: number;
  /** Fields with the same slot exclude each other and themselves; `null` for a repeated field. */
  readonly slot: number | null;
  readonly read: (target: T, reader: R) => void;
}

/** The used fields of a message by number; others are skipped. */
export type FieldReaders<T, R extends ProtobufReader> = readonly (FieldReader<T, R> | undefined)[];

/** Builds a table of fields. Slots must be below 31. */
export const fieldReaders = <T, R extends ProtobufReader>(
  table: Readonly<Record<number, FieldReader<T, R>>>,
): FieldReaders<T, R> =>
  Array.from({ length: Math.max(...Object.keys(table).map(Number)) + 1 }, (_, number) => table[number]);

type Read<T, R extends ProtobufReader> = FieldReader<T, R>['read'];

/** A text, bytes or message field, with its slot. */
export const readDelimited = <T, R extends ProtobufReader>(
  slot: number | null,
  read: Read<T, R>,
): FieldReader<T, R> => ({ wireType: LENGTH_DELIMITED, slot, read });

/** A number, boolean or enum field. */
export const varint = <T, R extends ProtobufReader>(slot: number, read: Read<T, R>): FieldReader<T, R> => ({
  wireType: VARINT,
  slot,
  read,
});

/** A field of a double. */
export const fixed64 = <T, R extends ProtobufReader>(slot: number, read: Read<T, R>): FieldReader<T, R> => ({
  wireType: FIXED64,
  slot,
  read,
});

const MAX_VARINT_BYTES = 10;

/**
 * A strict protobuf reader: one forward pass. Refuses what no writer writes and decoders read differently: known fields of
 * another wire type, a field twice that may occur once, two fields of a `oneof`, text that is not UTF-8, groups, numbers with too
 * many bits. After a fault nothing is read and values are empty.
 *
 * @see https://protobuf.dev/programming-guides/encoding
 */
export class ProtobufReader {
  readonly #bytes: Buffer;
  #at: number;
  #end: number;
  #fault: WireFault | null = null;
  #low = 0;
  #high = 0;

  /** @param part the range to read, default all */
  constructor(bytes: Uint8Array, part: ByteRange = allOf(bytes)) {
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = part.from;
    this.#end = part.to;
  }

  /** The first fault. */
  get fault(): WireFault | null {
    return this.#fault;
  }

  /** Offset of the next byte. */
  get at(): number {
    return this.#at;
  }

  /** Bytes left in the current message. */
  get left(): number {
    return this.#end - this.#at;
  }

  /** The low and high 32 bits of the last `varint64` or `fixed`, unsigned. */
  get low(): number {
    return this.#low;
  }

  get high(): number {
    return this.#high;
  }

  /** Reads everything as one message. */
  whole<T>(fields: FieldReaders<T, this>, target: T): T {
    let seen = 0;
    while (this.#at < this.#end) {
      const tag = this.#varint();
      const field = fields[tag >>> 3];
      if (field === undefined) {
        this.#skip(tag);
        continue;
      }
      if ((tag & 7) !== field.wireType) this.broken('other-wire-type');
      else if (field.slot !== null && (seen & (1 << field.slot)) !== 0) this.broken('twice');
      else field.read(target, this);
      seen |= field.slot === null ? 0 : 1 << field.slot;
    }
    return target;
  }

  /** Reads an embedded message. */
  message<T>(fields: FieldReaders<T, this>, target: T): T {
    const outer = this.#end;
    const length = this.#length();
    this.#end = this.#at + length;
    this.whole(fields, target);
    this.#end = outer;
    return target;
  }

  /** Reads a text. */
  text(): string {
    const from = this.#content();
    const text = utf8From(this.#bytes, from, this.#at);
    if (text !== null) return text;
    this.broken('not-utf8');
    return '';
  }

  /** Reads bytes, not copied. */
  raw(): Buffer {
    const from = this.#content();
    return this.#bytes.subarray(from, this.#at);
  }

  /** Reads content with `make`, which gets the range in place and may not keep the bytes. */
  made<V>(make: (bytes: Buffer, from: number, to: number) => V): V {
    const from = this.#content();
    return make(this.#bytes, from, this.#at);
  }

  /** Skips a length-delimited field. */
  pass(): void {
    this.#content();
  }

  /** Reads an unsigned 32-bit number. */
  uint32(): number {
    return this.#varint();
  }

  /** Reads a signed 64-bit number; beyond 2^53 the nearest double. */
  int64(): number {
    if (this.varint64() !== null) return (this.#high | 0) * 2 ** 32 + this.#low;
    this.broken('endless-number');
    return 0;
  }

  /** Reads a double. */
  double(): number {
    const from = this.#at;
    return this.advance(8) ? this.#bytes.readDoubleLE(from) : 0;
  }

  /** Reads a varint of at most 64 bits into `low` and `high`. @returns whether it is in its shortest form; `null` if incomplete */
  varint64(): boolean | null {
    const first = this.#at < this.#end ? (this.#bytes[this.#at] ?? 0) : 0x80;
    if (first < 0x80) {
      // Most are one byte long.
      this.#at += 1;
      this.#low = first;
      this.#high = 0;
      return true;
    }
    let low = 0;
    let high = 0;
    for (let count = 0; count < MAX_VARINT_BYTES && this.#at < this.#end; count += 1) {
      const byte = this.#bytes[this.#at] ?? 0;
      this.#at += 1;
      const bits = byte & 0x7f;
      const shift = 7 * count;
      if (shift < 32) low |= bits << shift;
      if (shift > 28) high |= bits << (shift - 32);
      else if (shift === 28) high |= bits >>> 4;
      if (byte >= 0x80) continue;
      // The tenth byte has room for one bit.
      if (count === MAX_VARINT_BYTES - 1 && byte > 1) return null;
      this.#low = low >>> 0;
      this.#high = high >>> 0;
      return byte !== 0;
    }
    return null;
  }

  /** Reads a number of 4 or 8 bytes into `low` and `high`. @returns whether it is complete */
  fixed(width: 4 | 8): boolean {
    if (width > this.left) return false;
    this.#low = this.#bytes.readUInt32LE(this.#at);
    this.#high = width === 8 ? this.#bytes.readUInt32LE(this.#at + 4) : 0;
    this.#at += width;
    return true;
  }

  /** Skips `count` bytes. @returns whether there were enough */
  advance(count: number): boolean {
    if (count <= this.left) this.#at += count;
    else this.broken('beyond-end');
    return this.#fault === null;
  }

  /** Records a fault and ends reading. */
  broken(fault: WireFault): void {
    this.#fault ??= fault;
    this.stop();
  }

  /** Ends reading: all field loops stop. */
  stop(): void {
    this.#at = this.#bytes.length;
  }

  /** Offset of a length-delimited field's content; it ends at the new position of the reader. */
  #content(): number {
    const length = this.#length();
    const from = this.#at;
    this.#at += length;
    return from;
  }

  /** Reads a length whose content is complete; 0 if it is not. */
  #length(): number {
    const length = this.#varint();
    if (length <= this.#end - this.#at) return length;
    this.broken('beyond-end');
    return 0;
  }

  /** Reads a varint of at most 32 bits, which suffices for tags, lengths and enums. */
  #varint(): number {
    let value = 0;
    for (let shift = 0; shift < 35 && this.#at < this.#end; shift += 7) {
      const byte = this.#bytes[this.#at] ?? 0;
      this.#at += 1;
      // The fifth byte has room for four bits.
      if (shift === 28 && byte > 0x0f) break;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    this.broken('endless-number');
    return 0;
  }

  #skip(tag: number): void {
    if (tag < 8) {
      this.broken('field-number');
      return;
    }
    switch (tag & 7) {
      case VARINT:
        if (this.varint64() === null) this.broken('endless-number');
        return;
      case LENGTH_DELIMITED:
        this.#content();
        return;
      case FIXED64:
        this.advance(8);
        return;
      case FIXED32:
        this.advance(4);
        return;
      default:
        this.broken('unknown-wire-type');
    }
  }
}
