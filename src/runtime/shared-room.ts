import { LastIdle } from './last-idle.ts';
import type { Resting } from './last-idle.ts';

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
  /** Parties that have taken something, and the last 16 that have given all of it back. */
  readonly #parties = new Map<string, Party>();
  readonly #idle = new LastIdle<Party>(isIdle, ({ name }) => this.#parties.delete(name));
  #taken = 0;

  /** @param max at least 1 */
  constructor(max: number) {
    this.#max = max;
  }

  /** What all parties have taken. */
  get taken(): number {
    return this.#taken;
  }

  /** Takes places, all or none. Returns whether there were as many for the party. */
  take(name: string, count = 1): boolean {
    const party = this.#parties.get(name) ?? { name, taken: 0, isAmongLast: false };
    const others = count - 1;
    if (party.taken + others >= TIMES_FREE * (this.#max - this.#taken - others)) return false;
    if (party.taken === 0 && !party.isAmongLast) this.#parties.set(name, party);
    party.taken += count;
    this.#taken += count;
    return true;
  }

  /** Returns places that the party has taken. */
  give(name: string, count = 1): void {
    const party = this.#parties.get(name);
    if (party === undefined || party.taken === 0) return;
    party.taken -= count;
    this.#taken -= count;
    if (party.taken === 0) this.#idle.rests(party);
  }
}

/** Who takes places. */
interface Party extends Resting {
  readonly name: string;
  taken: number;
}

const isIdle = ({ taken }: Party): boolean => taken === 0;
