import type { LearntCall } from '../learnt-call.ts';
import type { Room } from '../seen/room.ts';

const HOUR_MS = 3_600_000;
const SUM_BYTES = 160;

/** The sums of an amount in pieces of work of one agent: tasks, or hours of calls without a task. */
export class SeenSums {
  /** Calls that had the amount. */
  values = 0;
  /** The greatest sum; of decimals in ten-thousandths. */
  most = 0;
  readonly #sums = new Map<string, number>();

  /** Adds the amount of a call. What there is no room for is not counted as a value, so that no limit is made of a part. */
  add({ agent, at, task }: LearntCall, amount: number, room: Room): void {
    const work = task ?? `hour ${Math.floor(at / HOUR_MS)}`;
    if (!this.#sums.has(work) && !room.take(agent, SUM_BYTES)) return;
    const sum = (this.#sums.get(work) ?? 0) + amount;
    this.#sums.set(work, sum);
    this.values += 1;
    this.most = Math.max(this.most, sum);
  }
}
