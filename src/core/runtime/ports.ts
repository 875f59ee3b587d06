import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';

/**
 * Clocks and randomness as parameters, so that a test can freeze time and seed randomness. Network, store and disk are
 * parameters too, each declared where it is used.
 */
export interface Ports {
  /** Wall clock, whole milliseconds since the Unix epoch. It can step. */
  readonly nowMs: () => number;
  /** Monotonic clock, milliseconds since an arbitrary start. It never steps back. */
  readonly monotonicMs: () => number;
  /** Wall clock with fractions of a millisecond, used for spans only. Default: `nowMs`. */
  readonly exactMs?: () => number;
  /** Cryptographically strong random bytes. */
  readonly randomBytes: (length: number) => Uint8Array;
  /** Time since the machine booted; absent or `null` if the system has no such clock. */
  readonly boot?: () => BootReading | null;
}

/** A reading of the boot clock. It counts sleep, and setting the time does not change it. */
export interface BootReading {
  /** Id of this boot, different for each boot. */
  readonly bootId: string;
  /** Milliseconds since boot. */
  readonly sinceMs: number;
}

/** One reading of all clocks. A check reads them once and uses that reading throughout. */
export interface Clocks {
  /**
   * Wall clock, whole milliseconds since the Unix epoch. Certificates, tokens and proofs are checked against it. It can step.
   */
  readonly wallMs: number;
  /**
   * The clock floor (`core/state/clock-floor.ts`): the latest time known to have passed, same unit. Permanent writes are dated by
   * it.
   */
  readonly floorMs: number;
  /** Milliseconds since an arbitrary start. */
  readonly monotonicMs: number;
}

/** The later of wall clock and floor, by which tasks expire. A fast wall clock can only deny; a slow wall clock revives nothing. */
export const laterOf = ({ wallMs, floorMs }: Pick<Clocks, 'wallMs' | 'floorMs'>): number => Math.max(wallMs, floorMs);

/** The machine's own clock and randomness. */
export const systemPorts: Ports = Object.freeze({
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  exactMs: exactClock({ nowMs: () => Date.now(), monotonicMs: () => performance.now() }),
  randomBytes: pooledRandomBytes(),
  boot: bootClock(),
});

/** The wall clock in milliseconds since the Unix epoch, with fractions if the ports have them. */
export const exactMsOf = ({ nowMs, exactMs = nowMs }: Pick<Ports, 'nowMs' | 'exactMs'>): number => exactMs();

/**
 * A wall clock with fractions of a millisecond, interpolated with the monotonic clock. It stays within the millisecond that
 * `nowMs` reports, so that it follows at once when the wall clock is set.
 */
export function exactClock({ nowMs, monotonicMs }: Pick<Ports, 'nowMs' | 'monotonicMs'>): () => number {
  let aheadMs = Number.NEGATIVE_INFINITY;
  return () => {
    const wallMs = nowMs();
    const monotonic = monotonicMs();
    // The offset is too low until a reading falls just after `nowMs` has ticked; each such reading raises it.
    if (monotonic + aheadMs < wallMs || monotonic + aheadMs >= wallMs + 1) aheadMs = wallMs - monotonic;
    return Math.max(wallMs, monotonic + aheadMs);
  };
}

/** The boot clock of Linux, where `uptime` counts sleep and each boot of the kernel has an id. */
function bootClock(): () => BootReading | null {
  let bootId: string | null | undefined;
  return () => {
    bootId ??= bootIdOf();
    return bootId === null ? null : { bootId, sinceMs: Math.floor(uptime() * 1_000) };
  };
}

function bootIdOf(): string | null {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return null;
  }
}

/**
 * Random bytes, cut from blocks: a system call costs the same for 16 bytes as for 4,096. No byte is used twice, and a
 * block is never refilled.
 */
function pooledRandomBytes(): Ports['randomBytes'] {
  const POOL_BYTES = 4_096;
  let pool = new Uint8Array();
  let used = 0;
  return (length) => {
    if (length > POOL_BYTES) return randomBytes(length);
    if (pool.length - used < length) {
      pool = randomBytes(POOL_BYTES);
      used = 0;
    }
    used += length;
    return pool.subarray(used - length, used);
  };
}
