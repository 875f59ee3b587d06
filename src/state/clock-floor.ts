import type { BootReading } from '../runtime/ports.ts';

/** Readings of the wall clock may bring the floor forward by 5 s, and by 5 s more in each `CONFIRM_MS`. */
export const MAX_STEP_MS = 5_000;
/** What is further ahead is followed once the wall clock was ahead for 15 minutes: the longest life of a token. */
export const CONFIRM_MS = 15 * 60_000;
/** A floor further ahead of the wall clock than this was wrong, and gives way once that has lasted for `CONFIRM_MS`. 24 hours. */
export const MAX_FLOOR_MS = 24 * 60 * 60 * 1_000;
/** While it is ahead of the wall clock, the floor advances by 1 % less than the monotonic clock, so that they meet again. */
export const SLOWED_BY = 0.01;

/** Two clocks in whole milliseconds agree within this. */
const SLACK_MS = 2;
/** How often the clock that counts sleep is read where nothing else asks for it: it costs 20 us. */
const LOOK_MS = 1_000;
/** It has a resolution of 10 ms. */
const MIN_SLEEP_MS = 100;

/** What a floor is made of. */
export interface ClockSources {
  /** Wall clock, milliseconds since the Unix epoch. It can step. */
  readonly nowMs: () => number;
  readonly monotonicMs: () => number;
  /** Absent or `null` where the machine has no such clock: then its sleep shows in the wall clock alone. */
  readonly boot?: () => BootReading | null;
}

/** A floor as a file keeps it. */
export interface FloorMark {
  /** Milliseconds since the Unix epoch; 0 where no process has written one. */
  readonly floorMs: number;
  /** Of the same instant; `null` where it is not known. */
  readonly boot: BootReading | null;
}

/** Both clocks at one instant, milliseconds since the Unix epoch. */
export interface FloorReading {
  readonly wallMs: number;
  /** Never before an earlier one, but for a floor that gives way. */
  readonly floorMs: number;
  readonly monotonicMs: number;
}

/** Since when the wall clock has been off, on the monotonic clock, and by how much at least. */
interface Doubt {
  readonly sinceMs: number;
  offMs: number;
}

/**
 * The time of day as far as this machine vouches for it: it advances with the monotonic clock, and with the time that the machine
 * slept, and is corrected by the wall clock. What is written down for good is judged by it; what is decided is judged by the later
 * of the two, so that a wall clock that is ahead denies for as long as it is, and ends nothing.
 *
 * - The wall clock ahead by up to `MAX_STEP_MS` is followed at once; so a clock that is set or drifts brings the floor forward by
 *   5 s, and 5 s more each 15 minutes.
 * - Further ahead it is followed once it was so for `CONFIRM_MS` of the monotonic clock, to where it was at least.
 * - Behind: the floor goes on, 1 % slower until they meet. What began under it lives 1 % longer at most.
 * - More than 24 hours behind for `CONFIRM_MS`: the floor was wrong, and gives way.
 *
 * A process that starts goes on from the mark of the one before: with the time since then where the machine was not restarted
 * meanwhile, so that a restart in the middle of a step confirms nothing; and else from the wall clock, or the mark where that is
 * up to 24 hours ahead.
 */
export class ClockFloor {
  readonly #sources: ClockSources;
  /** The floor with its fraction, at `#monotonicMs`. */
  #lineMs: number;
  #monotonicMs: number;
  /** What was given last, by this process or the one before. */
  #floorMs: number;
  /** How much of `MAX_STEP_MS` is taken. */
  #takenMs = 0;
  #ahead: Doubt | null = null;
  #behind: Doubt | null = null;
  /** The clock that counts sleep, when the floor last counted with it. */
  #boot: { readonly reading: BootReading; readonly monotonicMs: number } | null;
  #lookedMs: number;

  constructor(sources: ClockSources, mark: FloorMark) {
    this.#sources = sources;
    const monotonicMs = sources.monotonicMs();
    const reading = sources.boot?.() ?? null;
    this.#monotonicMs = monotonicMs;
    this.#lookedMs = monotonicMs;
    this.#boot = reading === null ? null : { reading, monotonicMs };
    this.#lineMs = sinceMark(mark, reading) ?? firstOf(mark.floorMs, sources.nowMs());
    // Where the mark was wrong and gave way, the line is before it.
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

  /** For the next process. */
  mark(): FloorMark {
    const { floorMs, monotonicMs } = this.read();
    if (this.#boot === null) return { floorMs, boot: null };
    const { reading, monotonicMs: atMs } = this.#boot;
    return { floorMs, boot: { bootId: reading.bootId, sinceMs: Math.floor(reading.sinceMs + monotonicMs - atMs) } };
  }

  get #leftMs(): number {
    return MAX_STEP_MS - this.#takenMs;
  }

  /** The monotonic clock may stand still while the machine sleeps. */
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

/** The mark with the time since it; `null` where the machine was restarted meanwhile, or that is not known. */
function sinceMark({ floorMs, boot }: FloorMark, now: BootReading | null): number | null {
  if (floorMs === 0 || boot === null || now === null || boot.bootId !== now.bootId) return null;
  return floorMs + Math.max(0, now.sinceMs - boot.sinceMs);
}

const firstOf = (floorMs: number, wallMs: number): number =>
  wallMs < floorMs && floorMs - wallMs <= MAX_FLOOR_MS ? floorMs : wallMs;
