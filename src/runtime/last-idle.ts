/** Something of which is known whether it is among the last that came to rest. Written by `LastIdle` alone. */
export interface Resting {
  isAmongLast: boolean;
}

const KEPT = 16;

/**
 * Keeps the last 16 parties that came to rest, and has those before them forgotten. For a `Map` of the parties that are busy now, most of which
 * are busy again at once: V8 makes a new table for a `Map` or `Set` that becomes empty, and for one that has lived for long that table is only
 * collected with the whole heap.
 */
export class LastIdle<T extends Resting> {
  readonly #isIdle: (party: T) => boolean;
  readonly #forget: (party: T) => void;
  readonly #last: T[] = [];
  #next = 0;

  /** @param forget is called for parties that are idle, and not among the last ones any more */
  constructor(isIdle: (party: T) => boolean, forget: (party: T) => void) {
    this.#isIdle = isIdle;
    this.#forget = forget;
  }

  /** A party has come to rest. */
  rests(party: T): void {
    if (party.isAmongLast) return;
    party.isAmongLast = true;
    const before = this.#last[this.#next];
    this.#last[this.#next] = party;
    this.#next = (this.#next + 1) % KEPT;
    if (before === undefined) return;
    before.isAmongLast = false;
    if (this.#isIdle(before)) this.#forget(before);
  }
}
