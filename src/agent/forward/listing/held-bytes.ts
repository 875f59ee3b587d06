const NOTHING = Buffer.alloc(0);

/**
 * Collects chunks in one growing buffer until the whole is there. Appending is amortised linear, and many small chunks take the
 * memory of their bytes, not of as many objects. The caller bounds the length.
 */
export class HeldBytes {
  #bytes: Buffer = NOTHING;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** What is held, without a copy: valid until the next `add`. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  add(chunk: Buffer): void {
    if (this.#length === 0) {
      // Most are one chunk, which is not copied.
      this.#bytes = chunk;
      this.#length = chunk.length;
      return;
    }
    const length = this.#length + chunk.length;
    if (length > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(2 * length);
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    chunk.copy(this.#bytes, this.#length);
    this.#length = length;
  }

  /** Takes all bytes out; nothing is held afterwards. */
  taken(): Buffer {
    const { bytes } = this;
    this.#bytes = NOTHING;
    this.#length = 0;
    return bytes;
  }
}
