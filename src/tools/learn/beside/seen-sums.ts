import type { LearntCall } from '../learnt-call.ts';
import type { Room } from '../seen/room.ts';

const HOUR_MS = 3_600_000;
const SUM_BYTES = 160;

/** The sums of an amount for one agent: per task, or per hour for calls without a task. */
export class SeenSums {
  /** Calls that had the amount. */
  values = 0;
  /** The greatest sum; for decimals in ten-thousandths. */
  most = 0;
  readonly #sums = new Map<string, number>();

  /** Adds the amount of a call. Without room it does not count in `values`, so that no limit is derived from a partial sum. */
  add({ agent, at, task }: LearntCall, amount: number, room: Room): void {
    const work = task ?? `hour ${Math.floor(at / HOUR_MS)}`;
    if (!this.#sums.has(work) && !room.take(agent, SUM_BYTES)) return;
    const sum = (this.#sums.get(work) ?? 0) + amount;
    this.#sums.set(work, sum);
    this.values += 1;
    this.most = Math.max(this.most, sum);
  }
}
