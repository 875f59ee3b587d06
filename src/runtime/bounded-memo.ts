/** What is remembered at most. */
export interface MemoBounds {
  /** Keys. Default 4,096. */
  readonly maxKeys?: number;
  /** Characters of all keys. Default 1,048,576. */
  readonly maxChars?: number;
  /** Longest key: what is made of a longer one is made anew each time. Default 512. */
  readonly maxKeyChars?: number;
  /** Whether each key is a text of its own and no part of another, so that it can be kept as it is. Default no. */
  readonly hasWholeKeys?: boolean;
}

/**
 * Remembers what was made of texts that come again and again. What is made must follow from the text alone and never change. It
 * holds the texts of two generations: when the newer one has half of what is allowed it becomes the older, and what was not asked
 * for since is forgotten; so a flood of texts that never come again costs no more than making what they stand for.
 */
export class BoundedMemo<V> {
  readonly #maxKeys: number;
  readonly #maxChars: number;
  readonly #maxKeyChars: number;
  readonly #hasWholeKeys: boolean;
  #newer = new Map<string, V>();
  #older = new Map<string, V>();
  /** Of the keys of the newer generation. */
  #chars = 0;

  constructor(bounds: MemoBounds = {}) {
    const { maxKeys = 4_096, maxChars = 1_048_576, maxKeyChars = 512, hasWholeKeys = false } = bounds;
    this.#maxKeys = maxKeys / 2;
    this.#maxChars = maxChars / 2;
    this.#maxKeyChars = maxKeyChars;
    this.#hasWholeKeys = hasWholeKeys;
  }

  /** How many texts are remembered. */
  get size(): number {
    return this.#newer.size + this.#older.size;
  }

  /** What a text stands for, if that is remembered. */
  get(key: string): V | undefined {
    const value = this.#newer.get(key);
    if (value !== undefined) return value;
    const old = this.#older.get(key);
    if (old !== undefined) this.#keep(key, old);
    return old;
  }

  /** Remembers what a text stands for. @param value not `undefined` */
  set(key: string, value: V): void {
    if (key.length <= this.#maxKeyChars) this.#keep(this.#hasWholeKeys ? key : ownTextOf(key), value);
  }

  /** What a text stands for, made where it is not remembered. */
  of(key: string, make: (key: string) => V): V {
    const known = this.get(key);
    if (known !== undefined) return known;
    const value = make(key);
    this.set(key, value);
    return value;
  }

  #keep(key: string, value: V): void {
    if (this.#newer.size >= this.#maxKeys || this.#chars + key.length > this.#maxChars) {
      this.#older = this.#newer;
      this.#newer = new Map();
      this.#chars = 0;
    }
    this.#newer.set(key, value);
    this.#chars += key.length;
  }
}

/** The same text as one of its own: a part of another one keeps all of that in memory. */
export function ownTextOf(text: string): string {
  // oxlint-disable-next-line no-control-regex -- every character that is one byte
  const encoding = /^[\x00-\xff]*$/.test(text) ? 'latin1' : 'utf16le';
  return Buffer.from(text, encoding).toString(encoding);
}
