/** Memoises a function of a text, for a bounded number of texts. */

/** The limits of a `BoundedMemo`. */
export interface MemoBounds {
  /** Number of keys. Default 4,096. */
  readonly maxKeys?: number;
  /** Characters of all keys together. Default 1,048,576. */
  readonly maxChars?: number;
  /** Longest key that is kept. Values of longer keys are computed each time. Default 512. */
  readonly maxKeyChars?: number;
  /**
   * Whether every key is an independent string, not a slice of a larger string, so that it can be kept without a copy. Default
   * false.
   */
  readonly hasWholeKeys?: boolean;
}

/**
 * A bounded memo: caches values computed from strings. A value must depend on its key alone and must never change. Eviction is
 * by two generations: when the new generation reaches half of the limits it becomes the old generation, and keys not used since then
 * are dropped. A flood of keys that never repeat therefore costs no more than computing their values.
 */
export class BoundedMemo<V> {
  readonly #maxKeys: number;
  readonly #maxChars: number;
  readonly #maxKeyChars: number;
  readonly #hasWholeKeys: boolean;
  #young = new Map<string, V>();
  #old = new Map<string, V>();
  /** Characters of the keys in the new generation. */
  #chars = 0;

  constructor(bounds: MemoBounds = {}) {
    const { maxKeys = 4_096, maxChars = 1_048_576, maxKeyChars = 512, hasWholeKeys = false } = bounds;
    this.#maxKeys = maxKeys / 2;
    this.#maxChars = maxChars / 2;
    this.#maxKeyChars = maxKeyChars;
    this.#hasWholeKeys = hasWholeKeys;
  }

  /** Number of cached keys. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** The cached value of a key; `undefined` if there is none. */
  get(key: string): V | undefined {
    const value = this.#young.get(key);
    if (value !== undefined) return value;
    const old = this.#old.get(key);
    if (old !== undefined) this.#keep(key, old);
    return old;
  }

  /** Caches a value. @param value not `undefined` */
  set(key: string, value: V): void {
    if (key.length <= this.#maxKeyChars) this.#keep(this.#hasWholeKeys ? key : ownTextOf(key), value);
  }

  /** The cached value of a key, computed with `make` and cached if there is none. */
  of(key: string, make: (key: string) => V): V {
    const known = this.get(key);
    if (known !== undefined) return known;
    const value = make(key);
    this.set(key, value);
    return value;
  }

  #keep(key: string, value: V): void {
    if (this.#young.size >= this.#maxKeys || this.#chars + key.length > this.#maxChars) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#chars = 0;
    }
    this.#young.set(key, value);
    this.#chars += key.length;
  }
}

/** Copies a string: in V8 a slice keeps the whole string it was cut from in memory. */
export function ownTextOf(text: string): string {
  // oxlint-disable-next-line no-control-regex -- matches characters of one byte
  const encoding = /^[\x00-\xff]*$/.test(text) ? 'latin1' : 'utf16le';
  return Buffer.from(text, encoding).toString(encoding);
}
