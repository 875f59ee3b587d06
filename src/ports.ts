import { randomBytes } from 'node:crypto';

/**
 * Clock and randomness as parameters, so that a test can freeze the one and seed the other. Network, store and disk are
 * parameters too, each declared where it is used.
 */
export interface Ports {
  /** Wall clock, whole milliseconds since the Unix epoch. It can step. */
  readonly nowMs: () => number;
  /** Monotonic clock, milliseconds since an arbitrary start. It never steps back. */
  readonly monotonicMs: () => number;
  /** Cryptographically strong random bytes. */
  readonly randomBytes: (length: number) => Uint8Array;
}

/** The machine's own clock and randomness. */
export const systemPorts: Ports = Object.freeze({
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  randomBytes: pooledRandomBytes(),
});

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
