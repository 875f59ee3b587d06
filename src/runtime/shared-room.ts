/** A party may take this many times as much as is free. */
const TIMES_FREE = 4;

/**
 * Room for a number of things at a time, shared by parties. A party may take four times as much as is left: one alone gets four fifths of all
 * room, two get four ninths each. So the party with the most is refused first, and one that begins finds room beside others that take all they can.
 *
 * Lifecycle of a place: `take`, then `give` once.
 *
 * @see Choudhury and Hahne, Dynamic queue length thresholds for shared-memory packet switches, 1998
 */
export class SharedRoom {
  readonly #max: number;
  /** What each party has taken; parties without anything are not kept. */
  readonly #takenBy = new Map<string, number>();
  #taken = 0;

  /** @param max at least 1 */
  constructor(max: number) {
    this.#max = max;
  }

  /** What all parties have taken. */
  get taken(): number {
    return this.#taken;
  }

  /** Takes one place. Returns whether there was one for the party. */
  take(party: string): boolean {
    const before = this.#takenBy.get(party) ?? 0;
    if (before >= TIMES_FREE * (this.#max - this.#taken)) return false;
    this.#takenBy.set(party, before + 1);
    this.#taken += 1;
    return true;
  }

  /** Returns a place that the party has taken. */
  give(party: string): void {
    const before = this.#takenBy.get(party);
    if (before === undefined) return;
    if (before === 1) this.#takenBy.delete(party);
    else this.#takenBy.set(party, before - 1);
    this.#taken -= 1;
  }
}
