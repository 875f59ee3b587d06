/**
 * The latest streams that this server reset: frames the client sent before it learned of the reset are ignored. The oldest id is
 * dropped first. Not an LRU cache, since a connection that resets nothing must take no memory for it.
 */
export class ResetMemory {
  readonly #max: number;
  readonly #ids = new Set<number>();

  constructor(max: number) {
    this.#max = max;
  }

  has(id: number): boolean {
    return this.#ids.has(id);
  }

  add(id: number): void {
    this.#ids.add(id);
    if (this.#ids.size <= this.#max) return;
    for (const oldest of this.#ids) {
      this.#ids.delete(oldest);
      return;
    }
  }
}
