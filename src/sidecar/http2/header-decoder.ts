import { fieldNamedAs, fieldOf, fieldSize, type HeaderField } from './header-field.ts';
import { HeaderTable } from './header-table.ts';
import { decodeHuffman, HUFFMAN_EXPANSION } from './huffman.ts';

/** Largest encoded header block, and therefore the largest name or value. */
export const MAX_BLOCK_BYTES = 32 * 1_024;
/** Limits of a decoded header list. */
export const LIST_LIMITS = Object.freeze({ bytes: 32 * 1_024, fields: 128 });

/** A decoded block. `too-large` and `malformed` carry no fields; only `malformed` makes the decoder unusable. */
export type HeaderList = readonly HeaderField[] | 'too-large' | 'malformed';

/** Scratch space for one Huffman-decoded string. Safe to share: decoding is synchronous. */
const scratch = Buffer.alloc(Math.ceil(MAX_BLOCK_BYTES * HUFFMAN_EXPANSION));

/** Most bits that an integer may be shifted by: a longer integer is neither a valid length nor a valid index. */
const MAX_SHIFT = 28;

/**
 * The HPACK decoder of one connection. A list above the limits is still decoded, because later blocks refer to its entries, but
 * not kept.
 *
 * @see RFC 7541 section 6
 */
export class HeaderDecoder {
  readonly #table = new HeaderTable();
  #block: Buffer = scratch;
  #at = 0;
  #isBroken = false;

  /** @param block at most `MAX_BLOCK_BYTES` */
  decode(block: Buffer): HeaderList {
    this.#block = block;
    this.#at = 0;
    const fields: HeaderField[] = [];
    let bytes = 0;
    let isResizable = true;
    while (this.#at < block.length && !this.#isBroken) {
      const first = block[this.#at] ?? 0;
      if ((first & 0xe0) === 0x20) {
        if (!isResizable || !this.#table.resize(this.#integer(5))) this.#isBroken = true;
        continue;
      }
      isResizable = false;
      const field = this.#field(first);
      if (field === undefined) break;
      bytes += fieldSize(field);
      if (bytes <= LIST_LIMITS.bytes && fields.length <= LIST_LIMITS.fields) fields.push(field);
    }
    this.#block = scratch;
    if (this.#isBroken) return 'malformed';
    return bytes > LIST_LIMITS.bytes || fields.length > LIST_LIMITS.fields ? 'too-large' : fields;
  }

  #field(first: number): HeaderField | undefined {
    if (first >= 0x80) return this.#named(this.#integer(7));
    if (first < 0x40) return this.#literal(this.#integer(4));
    const field = this.#literal(this.#integer(6));
    if (field !== undefined && !this.#isBroken) this.#table.add(field);
    return field;
  }

  #literal(number: number): HeaderField | undefined {
    const named = number === 0 ? this.#text() : this.#named(number);
    const value = this.#text();
    if (named === undefined || this.#isBroken) return undefined;
    return typeof named === 'string' ? fieldOf(named, value) : fieldNamedAs(named, value);
  }

  #named(number: number): HeaderField | undefined {
    const field = this.#table.at(number);
    if (field === undefined) this.#isBroken = true;
    return field;
  }

  #text(): string {
    const isCoded = ((this.#block[this.#at] ?? 0) & 0x80) !== 0;
    const length = this.#integer(7);
    const from = this.#at;
    if (length > this.#block.length - from) this.#isBroken = true;
    if (this.#isBroken) return '';
    this.#at = from + length;
    if (!isCoded) return this.#block.toString('latin1', from, this.#at);
    const decoded = decodeHuffman(this.#block, from, this.#at, scratch);
    if (decoded < 0) this.#isBroken = true;
    return decoded < 0 ? '' : scratch.toString('latin1', 0, decoded);
  }

  /** An integer with a prefix of `bits` bits. @see RFC 7541 section 5.1 */
  #integer(bits: number): number {
    const most = (1 << bits) - 1;
    let value = (this.#block[this.#at] ?? 0) & most;
    if (this.#at >= this.#block.length) this.#isBroken = true;
    this.#at += 1;
    if (value < most) return value;
    for (let shift = 0; shift < MAX_SHIFT && this.#at < this.#block.length; shift += 7) {
      const byte = this.#block[this.#at] ?? 0;
      this.#at += 1;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    this.#isBroken = true;
    return 0;
  }
}
