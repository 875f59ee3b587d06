import { type Deny, deny } from '../decision/decision.ts';
import { utf8From } from './utf8.ts';
import { type ByteRange, wholeNumberOf } from './wire-fields.ts';

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

/** How a field is read into its message. */
export interface FieldReader<T, R extends WireReader> {
  readonly wireType: number;
  /** Fields with the same slot exclude each other and themselves; `null` for a repeated field. */
  readonly slot: number | null;
  readonly read: (target: T, reader: R) => void;
}

/** The used fields of a message by number; others are skipped. */
export type FieldReaders<T, R extends WireReader> = readonly (FieldReader<T, R> | undefined)[];

/** Builds a table of fields. Slots must be below 31. */
export const fieldReaders = <T, R extends WireReader>(
  table: Readonly<Record<number, FieldReader<T, R>>>,
): FieldReaders<T, R> =>
  Array.from({ length: Math.max(...Object.keys(table).map(Number)) + 1 }, (_, number) => table[number]);

type Read<T, R extends WireReader> = FieldReader<T, R>['read'];

/** A text, bytes or message field, with its slot. */
export const readDelimited = <T, R extends WireReader>(slot: number | null, read: Read<T, R>): FieldReader<T, R> => ({
  wireType: LENGTH_DELIMITED,
  slot,
  read,
});

/** A number, boolean or enum field. */
export const varint = <T, R extends WireReader>(slot: number, read: Read<T, R>): FieldReader<T, R> => ({
  wireType: VARINT,
  slot,
  read,
});

/** A field of a double. */
export const fixed64 = <T, R extends WireReader>(slot: number, read: Read<T, R>): FieldReader<T, R> => ({
  wireType: FIXED64,
  slot,
  read,
});

/**
 * A strict protobuf reader: one forward pass. Refuses what no writer would write and decoders read differently: known fields of
 * another wire type, repeated or beside another of their `oneof`, text that is not UTF-8, groups, numbers with too many bits.
 * The first error is the `problem`; after it nothing is read and values are empty.
 *
 * @see https://protobuf.dev/programming-guides/encoding
 */
export class WireReader {
  readonly #bytes: Buffer;
  #at: number;
  #end: number;
  #problem: Deny | null = null;

  /** @param part the range to read, default all */
  constructor(bytes: Uint8Array, part: ByteRange = wholeNumberOf(bytes)) {
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = part.from;
    this.#end = part.to;
  }

  /** The first error. */
  get problem(): Deny | null {
    return this.#problem;
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
      if ((tag & 7) !== field.wireType) this.malformed('a field has another wire type');
      else if (field.slot !== null && (seen & (1 << field.slot)) !== 0) this.malformed('a field is repeated');
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
    this.fail(deny('request.not-canonical', 'a text of the request is not UTF-8'));
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

  /** Skips a field. */
  pass(): void {
    this.#content();
  }

  /** Reads an unsigned 32-bit number. */
  uint32(): number {
    return this.#varint();
  }

  /** Reads a signed 64-bit number; beyond 2^53 the nearest double. */
  int64(): number {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70 && this.#at < this.#end; shift += 7) {
      const byte = this.#bytes[this.#at] ?? 0;
      this.#at += 1;
      // The tenth byte has room for one bit.
      if (shift === 63 && byte > 1) break;
      if (shift < 32) low |= (byte & 0x7f) << shift;
      if (shift > 27) high |= shift === 28 ? (byte & 0x7f) >>> 4 : (byte & 0x7f) << (shift - 32);
      if (byte < 0x80) return high * 2 ** 32 + (low >>> 0);
    }
    this.malformed('a number is incomplete or too long');
    return 0;
  }

  /** Reads a double. */
  double(): number {
    const from = this.#at;
    this.#advance(8);
    return this.#problem === null ? this.#bytes.readDoubleLE(from) : 0;
  }

  /** Records that the message is malformed. */
  malformed(detail: string): void {
    this.fail(deny('request.malformed', `not a CheckRequest: ${detail}`));
  }

  /** Records the problem and ends reading: all field loops stop. */
  fail(problem: Deny): void {
    this.#problem ??= problem;
    this.#at = this.#bytes.length;
  }

  /** Offset of a length-delimited field's content; it ends where the reader is afterwards. */
  #content(): number {
    const length = this.#length();
    const from = this.#at;
    this.#at += length;
    return from;
  }

  /** Reads a length whose content is complete; 0 where it is not. */
  #length(): number {
    const length = this.#varint();
    if (length <= this.#end - this.#at) return length;
    this.malformed('a field goes beyond its message');
    return 0;
  }

  #advance(count: number): void {
    if (count > this.#end - this.#at) this.malformed('a field goes beyond its message');
    else this.#at += count;
  }

  /** Reads a varint of at most 32 bits, which suffices for everything read here. */
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
    this.malformed('a number is incomplete or too long');
    return 0;
  }

  #skip(tag: number): void {
    if (tag < 8) {
      this.malformed('a field has the number 0');
      return;
    }
    switch (tag & 7) {
      case VARINT:
        this.#skipVarint();
        return;
      case LENGTH_DELIMITED:
        this.#content();
        return;
      case FIXED64:
        this.#advance(8);
        return;
      case FIXED32:
        this.#advance(4);
        return;
      default:
        this.malformed('a field has an unknown wire type');
    }
  }

  #skipVarint(): void {
    for (let length = 0; length < 10 && this.#at < this.#end; length += 1) {
      const byte = this.#bytes[this.#at] ?? 0;
      this.#at += 1;
      if (byte < 0x80) return;
    }
    this.malformed('a number is incomplete or too long');
  }
}
