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
  randomBytes: (length: number) => randomBytes(length),
});
