import { SharedRoom } from './shared-room.ts';

/** Parts into which a second is divided: places come back by tenths of a second. */
const PARTS = 10;
const PART_MS = 1_000 / PARTS;

/** The takes of one tenth of a second, by party. */
interface Part {
  readonly beganMs: number;
  readonly taken: Map<string, number>;
}

/**
 * A rate that parties share: at most `perSecond` in any second, and of one party at most four times as many as are left for others. So a party
 * that floods takes four fifths, and another always finds room beside it.
 *
 * @see SharedRoom
 */
export class FairRate {
  readonly #room: SharedRoom;
  readonly #monotonicMs: () => number;
  #parts: Part[] = [];

  constructor({ perSecond, monotonicMs }: { readonly perSecond: number; readonly monotonicMs: () => number }) {
    this.#room = new SharedRoom(perSecond);
    this.#monotonicMs = monotonicMs;
  }

  /** Takes a place for a party. Returns whether there was a place. */
  take(name: string): boolean {
    const { taken } = this.#partAt(this.#monotonicMs());
    if (!this.#room.take(name)) return false;
    taken.set(name, (taken.get(name) ?? 0) + 1);
    return true;
  }

  /** The current part. What was taken a second ago is given back. */
  #partAt(nowMs: number): Part {
    const over = this.#parts.filter(({ beganMs }) => nowMs - beganMs >= 1_000 + PART_MS);
    for (const { taken } of over) for (const [name, count] of taken) this.#room.give(name, count);
    if (over.length > 0) this.#parts = this.#parts.slice(over.length);
    const last = this.#parts.at(-1);
    if (last !== undefined && nowMs - last.beganMs < PART_MS) return last;
    const part: Part = { beganMs: nowMs, taken: new Map() };
    this.#parts.push(part);
    return part;
  }
}
