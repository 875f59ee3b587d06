import type { Hit } from './vegeta.ts';

/** So long every call must be answered 200 to be called good again. */
const GOOD_MS = 1_000;

/**
 * Seconds from an instant to the beginning of the first second, whose calls were all answered 200; 0 where the calls after it
 * never failed, Infinity where there is no such second.
 *
 * @param hits in the order in which they were sent
 */
export function recoverySeconds(hits: readonly Hit[], fromMs: number): number {
  let goodSinceMs = fromMs;
  for (const { atMs, status } of hits) {
    if (atMs < fromMs) continue;
    if (atMs - goodSinceMs >= GOOD_MS) return (goodSinceMs - fromMs) / 1000;
    if (status !== 200) goodSinceMs = atMs;
  }
  return Infinity;
}
