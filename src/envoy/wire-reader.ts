import { type Deny, deny } from '../decision/decision.ts';
import { utf8From } from './utf8.ts';
import { type ByteRange, wholeNumberOf } from './wire-fields.ts';

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

/** How a field is read into the message it is of. */
export interface FieldReader<T, R extends WireReader> {
  readonly wireType: number;
  /** Fields of one slot exclude each other, and a field itself; `null` for one that may be repeated. */
  readonly slot: number | null;
  readonly read: (target: T, reader: R) => void;
}

/** The fields of a message that are read, by their numbers; the others are skipped. */
export type FieldReaders<T, R extends WireReader> = readonly (FieldReader<T, R> | undefined)[];

/** A table of fields. Slots are below 31. */
export const fieldReaders = <T, R extends WireReader>(
  table: Readonly<Record<number, FieldReader<T, R>>>,
): FieldReaders<T, R> =>
  Array.from({ length: Math.max(...Object.keys(table).map(Number)) + 1 }, (_, number) => table[number]);

type Read<T, R extends WireReader> = FieldReader<T, R>['read'];

/** A field of text, of bytes or of an embedded message, in the slot it has with others. */
export const readDelimited = <T, R extends WireReader>(slot: number | null, read: Read<T, R>): FieldReader<T, R> => ({
  wireType: LENGTH_DELIMITED,
  slot,
  read,
});

/** A field of a number, a boolean or an enum. */
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
 * Walks a protobuf message once, forwards, and refuses what no writer of it would write and decoders read in different ways: a
 * known field of another wire type, one that is there twice or beside another of its `oneof`, text that is not UTF-8, groups,
 * numbers of more bits than they have. What is wrong is the `problem`; after it nothing more is read, and values are empty.
 *
 * @see https://protobuf.dev/programming-guides/encoding
 */
export class WireReader {
  readonly #bytes: Buffer;
  #at: number;
  #end: number;
  #problem: Deny | null = null;

  /** @param part what of the bytes is read, by default all */
  constructor(bytes: Uint8Array, part: ByteRange = wholeNumberOf(bytes)) {
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = part.from;
    this.#end = part.to;
  }

  /** The first that was wrong. */
  get problem(): Deny | null {
    return this.#problem;
  }

  /** Reads the whole as a message. */
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
      else if (field.slot !== null && (seen & (1 << field.slot)) !== 0) this.malformed('a field is there twice');
      else field.read(target, this);
      seen |= field.slot === null ? 0 : 1 << field.slot;
    }
    return target;
  }

  /** Reads the embedded message that comes next. */
  message<T>(fields: FieldReaders<T, this>, target: T): T {
    const outer = this.#end;
    const length = this.#length();
    this.#end = this.#at + length;
    this.whole(fields, target);
    this.#end = outer;
    return target;
  }

  /** The text that comes next. */
  text(): string {
    const from = this.#content();
    const text = utf8From(this.#bytes, from, this.#at);
    if (text !== null) return text;
    this.fail(deny('request.not-canonical', 'a text of the request is not UTF-8'));
    return '';
  }

  /** The bytes that come next, not copied. */
  raw(): Buffer {
    const from = this.#content();
    return this.#bytes.subarray(from, this.#at);
  }

  /** What `make` makes of the content that comes next, where it stands in the bytes; it may not keep them. */
  made<V>(make: (bytes: Buffer, from: number, to: number) => V): V {
    const from = this.#content();
    return make(this.#bytes, from, this.#at);
  }

  /** Leaves out what comes next. */
  pass(): void {
    this.#content();
  }

  /** The unsigned number of 32 bits that comes next. */
  uint32(): number {
    return this.#varint();
  }

  /** The signed number of 64 bits that comes next; beyond 2^53 the double next to it. */
  int64(): number {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70 && this.#at < this.#end; shift += 7) {
      const byte = this.#bytes[this.#at] ?? 0;
      this.#at += 1;
      // In the tenth byte one bit is left.
      if (shift === 63 && byte > 1) break;
      if (shift < 32) low |= (byte & 0x7f) << shift;
      if (shift > 27) high |= shift === 28 ? (byte & 0x7f) >>> 4 : (byte & 0x7f) << (shift - 32);
      if (byte < 0x80) return high * 2 ** 32 + (low >>> 0);
    }
    this.malformed('a number has no end');
    return 0;
  }

  /** The double that comes next. */
  double(): number {
    const from = this.#at;
    this.#advance(8);
    return this.#problem === null ? this.#bytes.readDoubleLE(from) : 0;
  }

  /** Says that the bytes are not a message as it is written. */
  malformed(detail: string): void {
    this.fail(deny('request.malformed', `not a CheckRequest: ${detail}`));
  }

  /** Ends the reading: every loop over fields finds nothing more. */
  fail(problem: Deny): void {
    this.#problem ??= problem;
    this.#at = this.#bytes.length;
  }

  /** Where the content of a length-delimited field begins; it ends where the reader is then. */
  #content(): number {
    const length = this.#length();
    const from = this.#at;
    this.#at += length;
    return from;
  }

  /** The length of what comes next, all of which is there; 0 where it is not. */
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

  /** A varint of at most 32 bits: all that is read has no more. */
  #varint(): number {
    let value = 0;
    for (let shift = 0; shift < 35 && this.#at < this.#end; shift += 7) {
      const byte = this.#bytes[this.#at] ?? 0;
      this.#at += 1;
      // In the fifth byte four bits are left.
      if (shift === 28 && byte > 0x0f) break;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    this.malformed('a number has no end');
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
        this.malformed('a field has a wire type that is none');
    }
  }

  #skipVarint(): void {
    for (let length = 0; length < 10 && this.#at < this.#end; length += 1) {
      const byte = this.#bytes[this.#at] ?? 0;
      this.#at += 1;
      if (byte < 0x80) return;
    }
    this.malformed('a number has no end');
  }
}
