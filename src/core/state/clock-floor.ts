import type { BootReading } from '../runtime/ports.ts';

/** The wall clock may advance the floor by 5 s, and by 5 s more in each `CONFIRM_MS`. */
export const MAX_STEP_MS = 5_000;
/** A larger step is followed once the wall clock has been ahead for 15 minutes, the longest life of a token. */
export const CONFIRM_MS = 15 * 60_000;
/** A floor that is further ahead of the wall clock than this is wrong, and is reset after `CONFIRM_MS`. 24 hours. */
export const MAX_FLOOR_MS = 24 * 60 * 60 * 1_000;
/** While the floor is ahead of the wall clock it advances 1 % slower than the monotonic clock, so that they meet again. */
export const SLOWED_BY = 0.01;

/** Tolerance when two clocks in whole milliseconds are compared. */
const SLACK_MS = 2;
/** Interval between readings of the boot clock, which counts sleep. A reading costs 20 us. */
const LOOK_MS = 1_000;
/** Resolution of the boot clock is 10 ms; shorter sleeps are ignored. */
const MIN_SLEEP_MS = 100;

/** The clocks from which a floor is made. */
export interface ClockSources {
  /** Wall clock, milliseconds since the Unix epoch. It can step. */
  readonly nowMs: () => number;
  readonly monotonicMs: () => number;
  /** Absent or `null` if the machine has no such clock. Then only the wall clock shows that the machine slept. */
  readonly boot?: () => BootReading | null;
}

/** A floor as saved in the file. */
export interface FloorMark {
  /** Milliseconds since the Unix epoch; 0 if no process has written it. */
  readonly floorMs: number;
  /** The boot clock at the same instant; `null` if it is unknown. */
  readonly boot: BootReading | null;
}

/** Both clocks at one instant, in milliseconds since the Unix epoch. */
export interface FloorReading {
  readonly wallMs: number;
  /** Never goes back, except when a wrong floor is reset. */
  readonly floorMs: number;
  readonly monotonicMs: number;
}

/** Since when the wall clock has been off, on the monotonic clock, and by how much at least. */
interface Doubt {
  readonly sinceMs: number;
  offMs: number;
}

/**
 * A time of day that is robust against steps of the wall clock. It advances with the monotonic clock and with the time that the machine
 * slept, and the wall clock corrects it. Permanent writes use the floor. Decisions use the later of floor and wall clock, so a wall clock
 * that is ahead denies while it is ahead, but ends nothing permanently.
 *
 * - Wall clock ahead by up to `MAX_STEP_MS`: followed at once. So a clock that is set or drifts advances the floor by 5 s, and by
 *   5 s more in each 15 minutes.
 * - Further ahead: followed once it was ahead for `CONFIRM_MS` of the monotonic clock, by the smallest lead seen in that time.
 * - Behind: the floor goes on, 1 % slower, until they meet. What began under it lives at most 1 % longer.
 * - More than 24 hours behind for `CONFIRM_MS`: the floor was wrong and is reset.
 *
 * A starting process continues from the mark of the process before it. If the machine was not restarted, the time since then is added, so
 * that a restart in the middle of a step confirms nothing. Otherwise the process starts from the wall clock, or from the mark if that is
 * up to 24 hours ahead.
 */
export class ClockFloor {
  readonly #sources: ClockSources;
  /** The floor with its fraction, at `#monotonicMs`. */
  #lineMs: number;
  #monotonicMs: number;
  /** The floor that was returned last, by this process or the previous process. */
  #floorMs: number;
  /** How much of `MAX_STEP_MS` is used up. */
  #takenMs = 0;
  #ahead: Doubt | null = null;
  #behind: Doubt | null = null;
  /** The boot clock, when the floor last took it into account. */
  #boot: { readonly reading: BootReading; readonly monotonicMs: number } | null;
  #lookedMs: number;

  /** @param options.latestMs the clock of another machine at this instant: without a mark the floor begins no later. Default: no such clock */
  constructor(sources: ClockSources, mark: FloorMark, { latestMs = Infinity }: { readonly latestMs?: number } = {}) {
    this.#sources = sources;
    const monotonicMs = sources.monotonicMs();
    const reading = sources.boot?.() ?? null;
    this.#monotonicMs = monotonicMs;
    this.#lookedMs = monotonicMs;
    this.#boot = reading === null ? null : { reading, monotonicMs };
    this.#lineMs = sinceMark(mark, reading) ?? firstOf(mark.floorMs, Math.min(sources.nowMs(), latestMs));
    // If the mark was wrong and was reset, the line is before it.
    this.#floorMs = Math.min(mark.floorMs, Math.floor(this.#lineMs));
  }

  /** Reads both clocks. */
  read(): FloorReading {
    const wallMs = this.#sources.nowMs();
    const monotonicMs = this.#sources.monotonicMs();
    const elapsedMs = Math.max(0, monotonicMs - this.#monotonicMs);
    this.#monotonicMs = monotonicMs;
    this.#lineMs += elapsedMs;
    this.#takenMs = Math.max(0, this.#takenMs - (elapsedMs * MAX_STEP_MS) / CONFIRM_MS);
    if (monotonicMs - this.#lookedMs >= LOOK_MS || wallMs - this.#lineMs > this.#leftMs) this.#countSleep(monotonicMs);
    this.#correct(wallMs, { monotonicMs, elapsedMs });
    const line = Math.abs(wallMs - this.#lineMs) <= SLACK_MS ? wallMs : Math.floor(this.#lineMs);
    this.#floorMs = Math.max(this.#floorMs, line);
    return { wallMs, floorMs: this.#floorMs, monotonicMs };
  }

  /** Moves the floor to an instant that has passed, as another machine vouches for. Never back. */
  raise(toMs: number): void {
    this.read();
    this.#lineMs = Math.max(this.#lineMs, toMs);
  }

  /** The mark for the next process. */
  mark(): FloorMark {
    const { floorMs, monotonicMs } = this.read();
    if (this.#boot === null) return { floorMs, boot: null };
    const { reading, monotonicMs: atMs } = this.#boot;
    return { floorMs, boot: { bootId: reading.bootId, sinceMs: Math.floor(reading.sinceMs + monotonicMs - atMs) } };
  }

  get #leftMs(): number {
    return MAX_STEP_MS - this.#takenMs;
  }

  /** Adds the time that the machine slept. The monotonic clock may stand still meanwhile. */
  #countSleep(monotonicMs: number): void {
    this.#lookedMs = monotonicMs;
    const reading = this.#sources.boot?.() ?? null;
    if (reading === null || this.#boot === null) return;
    const sleptMs = reading.sinceMs - this.#boot.reading.sinceMs - (monotonicMs - this.#boot.monotonicMs);
    if (sleptMs < MIN_SLEEP_MS) return;
    this.#lineMs += sleptMs;
    this.#boot = { reading, monotonicMs };
  }

  #correct(wallMs: number, at: { readonly monotonicMs: number; readonly elapsedMs: number }): void {
    const leadMs = wallMs - this.#lineMs;
    if (leadMs <= this.#leftMs) this.#ahead = null;
    if (leadMs >= -MAX_FLOOR_MS) this.#behind = null;
    if (leadMs > this.#leftMs) this.#follow(leadMs, at.monotonicMs);
    else if (leadMs < -MAX_FLOOR_MS) this.#giveWay(wallMs, at.monotonicMs);
    else if (leadMs > 0) {
      this.#takenMs += leadMs;
      this.#lineMs = wallMs;
    } else if (leadMs < -SLACK_MS) this.#lineMs -= Math.min(at.elapsedMs * SLOWED_BY, -leadMs);
  }

  #follow(leadMs: number, monotonicMs: number): void {
    this.#ahead ??= { sinceMs: monotonicMs, offMs: leadMs };
    this.#ahead.offMs = Math.min(this.#ahead.offMs, leadMs);
    if (monotonicMs - this.#ahead.sinceMs < CONFIRM_MS) return;
    this.#lineMs += this.#ahead.offMs;
    this.#ahead = null;
  }

  #giveWay(wallMs: number, monotonicMs: number): void {
    this.#behind ??= { sinceMs: monotonicMs, offMs: 0 };
    if (monotonicMs - this.#behind.sinceMs < CONFIRM_MS) return;
    this.#lineMs = wallMs;
    this.#floorMs = wallMs;
    this.#behind = null;
  }
}

/** The mark plus the time since it; `null` if the machine was restarted meanwhile or that is unknown. */
function sinceMark({ floorMs, boot }: FloorMark, now: BootReading | null): number | null {
  if (floorMs === 0 || boot === null || now === null || boot.bootId !== now.bootId) return null;
  return floorMs + Math.max(0, now.sinceMs - boot.sinceMs);
}

const firstOf = (floorMs: number, wallMs: number): number =>
  wallMs < floorMs && floorMs - wallMs <= MAX_FLOOR_MS ? floorMs : wallMs;
