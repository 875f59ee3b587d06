import type { Random } from './random.ts';
import type { Deadline, Schedule } from './schedule.ts';
import { EPOCH_MS } from './terms.ts';

/** Clocks differ in rate by up to this much in each direction. The margin of a fence must cover twice that. */
const DRIFT = 0.024;

/** A process: it can be stopped and continued (SIGSTOP, SIGCONT) or end, and has clocks of its own. */
export class Party {
  /** Where it runs; links join places. */
  readonly place: string;
  readonly #schedule: Schedule;
  readonly #rate: number;
  readonly #startMs: number;
  #waiting: (() => void)[] | null = null;
  /** Since when its machine stands still; `null` while it does not. */
  #pausedMs: number | null = null;
  /** How long it has stood still before. */
  #stoodMs = 0;
  #isEnded = false;
  /** How far its wall clock is off. */
  wallOffsetMs = 0;
  /** How far its wall clock is always ahead. */
  leadMs = 0;

  constructor(place: string, { schedule, random }: { readonly schedule: Schedule; readonly random: Random }) {
    this.place = place;
    this.#schedule = schedule;
    this.#rate = 1 + (random.chance(0.2) ? random.between(-DRIFT, DRIFT) : random.chance(0.5) ? DRIFT : -DRIFT);
    this.#startMs = random.between(0, 1_000_000);
  }

  get isRunning(): boolean {
    return !this.#isEnded && this.#waiting === null;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  monotonicMs(): number {
    const nowMs = this.#pausedMs ?? this.#schedule.nowMs;
    return this.#startMs + this.#rate * (nowMs - this.#stoodMs);
  }

  wallMs(): number {
    return Math.floor(EPOCH_MS + this.#schedule.nowMs + this.wallOffsetMs + this.leadMs);
  }

  /** Runs work in this process: later if it is stopped, never if it has ended. */
  run(work: () => void): void {
    if (this.#isEnded) return;
    if (this.#waiting === null) work();
    else this.#waiting.push(work);
  }

  after(ms: number, work: () => void): void {
    this.#schedule.after(ms, work, this);
  }

  /** @param ms one of few */
  deadline(ms: number, deadline: Deadline): void {
    this.#schedule.deadline(ms, deadline);
  }

  /** Runs work now, and again each `ms`. */
  every(ms: number, work: () => void): void {
    const again = (): void => {
      work();
      this.after(ms, again);
    };
    again();
  }

  stop(): void {
    this.#waiting ??= [];
  }

  /** Its machine is paused: its monotonic clock stands still too, and its wall clock does not. */
  pause(): void {
    this.stop();
    this.#pausedMs ??= this.#schedule.nowMs;
  }

  /** Whether its machine stands still, or has. */
  get hasPaused(): boolean {
    return this.#pausedMs !== null || this.#stoodMs > 0;
  }

  /** Continues: what came meanwhile happens now, in order. */
  continue(): void {
    const waiting = this.#waiting ?? [];
    if (this.#pausedMs !== null) this.#stoodMs += this.#schedule.nowMs - this.#pausedMs;
    this.#pausedMs = null;
    this.#waiting = null;
    for (const work of waiting) this.run(work);
  }

  end(): void {
    this.#isEnded = true;
    this.#waiting = null;
  }
}
