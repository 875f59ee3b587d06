/**
 * The latest streams that were reset here: what the client had sent before it heard of that is no error. The oldest goes first. Not a
 * cache: an id stands for itself, and one for each connection that resets nothing must take no memory.
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
