import type { Hit } from './vegeta.ts';

/** How long every call must be answered 200 to count as recovered. */
const GOOD_MS = 1_000;

/**
 * Seconds from an instant to the start of the first second in which all calls were answered 200; 0 where no later call failed, Infinity
 * where there is no such second.
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
