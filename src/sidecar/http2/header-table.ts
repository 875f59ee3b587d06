import { fieldSize, type HeaderField, staticFields } from './header-field.ts';

/**
 * Size of the dynamic table: the protocol's default, since no other is announced. @see RFC 9113 section 6.5.2,
 * SETTINGS_HEADER_TABLE_SIZE
 */
export const TABLE_BYTES = 4_096;

/** A field counts as at least 32 bytes. */
const MAX_FIELDS = TABLE_BYTES / 32;

/**
 * The fields that a block can refer to by index: the static table, then the dynamic table, newest first.
 *
 * @see RFC 7541 section 2.3
 */
export class HeaderTable {
  /** A ring buffer. */
  readonly #fields: (HeaderField | undefined)[] = Array.from({ length: MAX_FIELDS }, () => undefined);
  #newest = 0;
  #count = 0;
  #bytes = 0;
  #maxBytes = TABLE_BYTES;

  /** The field at an index; `undefined` if there is none. */
  at(number: number): HeaderField | undefined {
    if (number <= staticFields.length) return staticFields[number - 1];
    const age = number - staticFields.length - 1;
    return age < this.#count ? this.#fields[(this.#newest - age + MAX_FIELDS) % MAX_FIELDS] : undefined;
  }

  /** Adds a field. Evicts the oldest fields to make room; a field larger than the table evicts all and is not added. */
  add(field: HeaderField): void {
    const bytes = fieldSize(field);
    this.#shrinkTo(this.#maxBytes - bytes);
    if (bytes > this.#maxBytes) return;
    this.#newest = (this.#newest + 1) % MAX_FIELDS;
    this.#fields[this.#newest] = field;
    this.#count += 1;
    this.#bytes += bytes;
  }

  /** Sets the size of the table. Returns false if it is above the announced size. */
  resize(maxBytes: number): boolean {
    if (maxBytes > TABLE_BYTES) return false;
    this.#maxBytes = maxBytes;
    this.#shrinkTo(maxBytes);
    return true;
  }

  #shrinkTo(maxBytes: number): void {
    while (this.#count > 0 && this.#bytes > maxBytes) {
      const oldest = (this.#newest - this.#count + 1 + MAX_FIELDS) % MAX_FIELDS;
      const field = this.#fields[oldest];
      if (field !== undefined) this.#bytes -= fieldSize(field);
      this.#fields[oldest] = undefined;
      this.#count -= 1;
    }
  }
}
