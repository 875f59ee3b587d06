/**
 * Values that several holders share, each under a number from 1. A value is kept as long as somebody holds it; then its number is reused.
 */
export class SharedValues<K, V> {
  readonly #numbers = new Map<K, number>();
  readonly #values: (Held<K, V> | null)[] = [null];
  readonly #free: number[] = [];

  /** Number of values. */
  get size(): number {
    return this.#numbers.size;
  }

  /**
   * Holds a value once more.
   *
   * @param key equal for values that are equal
   * @returns its number, for `of` and one `release`
   */
  hold(key: K, value: V): number {
    const known = this.#numbers.get(key);
    const held = known === undefined ? null : this.#values[known];
    if (known !== undefined && held) {
      held.holders += 1;
      return known;
    }
    const number = this.#free.pop() ?? this.#values.length;
    this.#values[number] = { key, value, holders: 1 };
    this.#numbers.set(key, number);
    return number;
  }

  /** The value of a number; `null` for a number that nobody holds, such as 0. */
  of(number: number): V | null {
    return this.#values[number]?.value ?? null;
  }

  /** Holds a value once less. Does nothing for a number that nobody holds, such as 0. */
  release(number: number): void {
    const held = this.#values[number] ?? null;
    if (held === null) return;
    held.holders -= 1;
    if (held.holders > 0) return;
    this.#values[number] = null;
    this.#numbers.delete(held.key);
    this.#free.push(number);
  }
}

interface Held<K, V> {
  readonly key: K;
  readonly value: V;
  holders: number;
}
