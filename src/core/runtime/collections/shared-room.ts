/** A party may take this many times as much as is free. */
const TIMES_FREE = 4;

/**
 * Room for a number of things at a time, shared by parties. A party may take four times as much as is left: a single party gets four fifths
 * of all room, two get four ninths each. So the party with the most is refused first, and a new party finds room beside others that take
 * all they can.
 *
 * Lifecycle of a place: `take`, then `give` once.
 *
 * @see Choudhury and Hahne, Dynamic queue length thresholds for shared-memory packet switches, 1998
 */
export class SharedRoom {
  readonly #max: number;
  /** How much each party has taken, of those that have taken something. */
  readonly #parties = new Map<string, number>();
  #taken = 0;

  /** @param max at least 1 */
  constructor(max: number) {
    this.#max = max;
  }

  /** What all parties have taken. */
  get taken(): number {
    return this.#taken;
  }

  /** Takes places, all or none. Returns whether the party got them. */
  take(name: string, count = 1): boolean {
    const taken = this.#parties.get(name) ?? 0;
    const others = count - 1;
    if (taken + others >= TIMES_FREE * (this.#max - this.#taken - others)) return false;
    this.#parties.set(name, taken + count);
    this.#taken += count;
    return true;
  }

  /** Returns places that the party has taken. */
  give(name: string, count = 1): void {
    const taken = this.#parties.get(name);
    if (taken === undefined) return;
    if (taken === count) this.#parties.delete(name);
    else this.#parties.set(name, taken - count);
    this.#taken -= count;
  }
}
