import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';

/**
 * Clock and randomness as parameters, so that a test can freeze the one and seed the other. Network, store and disk are
 * parameters too, each declared where it is used.
 */
export interface Ports {
  /** Wall clock, whole milliseconds since the Unix epoch. It can step. */
  readonly nowMs: () => number;
  /** Monotonic clock, milliseconds since an arbitrary start. It never steps back. */
  readonly monotonicMs: () => number;
  /** Wall clock with fractions of a millisecond, for spans alone; absent where `nowMs` is exact enough. */
  readonly exactMs?: () => number;
  /** Cryptographically strong random bytes. */
  readonly randomBytes: (length: number) => Uint8Array;
  /** The clock of the machine since it was started; absent or `null` where there is none. */
  readonly boot?: () => BootReading | null;
}

/** A clock that no setting of the time moves, and that counts sleep. */
export interface BootReading {
  /** Another one after each start of the machine. */
  readonly bootId: string;
  /** Milliseconds since that start. */
  readonly sinceMs: number;
}

/** One reading of all clocks, by which one check is judged. */
export interface Clocks {
  /** Wall clock, whole milliseconds since the Unix epoch: certificates, tokens and proofs are judged by it. It can step. */
  readonly wallMs: number;
  /** What the machine vouches for (`state/clock-floor.ts`), in the same unit. What is written for good is judged by it. */
  readonly floorMs: number;
  /** Milliseconds since an arbitrary start. */
  readonly monotonicMs: number;
}

/**
 * The later of wall clock and floor: tasks are judged by it. A wall clock that is ahead so denies what it says is over, a wall
 * clock that is behind revives nothing.
 */
export const laterOf = ({ wallMs, floorMs }: Pick<Clocks, 'wallMs' | 'floorMs'>): number => Math.max(wallMs, floorMs);

/** The machine's own clock and randomness. */
export const systemPorts: Ports = Object.freeze({
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  exactMs: exactClock({ nowMs: () => Date.now(), monotonicMs: () => performance.now() }),
  randomBytes: pooledRandomBytes(),
  boot: bootClock(),
});

/** The wall clock, milliseconds since the Unix epoch with fractions where the ports have them. */
export const exactMsOf = ({ nowMs, exactMs = nowMs }: Pick<Ports, 'nowMs' | 'exactMs'>): number => exactMs();

/**
 * The wall clock with the fractions that `nowMs` cuts off, by the monotonic clock: never before `nowMs`, and less than a millisecond
 * after it, so that a wall clock that is set is followed at once.
 */
export function exactClock({ nowMs, monotonicMs }: Pick<Ports, 'nowMs' | 'monotonicMs'>): () => number {
  let aheadMs = Number.NEGATIVE_INFINITY;
  return () => {
    const wallMs = nowMs();
    const monotonic = monotonicMs();
    // Each reading just after a new millisecond began raises the difference to the true one.
    if (monotonic + aheadMs < wallMs || monotonic + aheadMs >= wallMs + 1) aheadMs = wallMs - monotonic;
    return Math.max(wallMs, monotonic + aheadMs);
  };
}

/** On Linux, where `uptime` counts sleep and each start of the kernel has an id. */
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
 * Random bytes cut from larger pieces, since a call to the system costs the same for 16 and for 4,096. No byte is handed out
 * twice, and a piece is not written to again.
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
