import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Rounds that a quiet machine needs, and that a busy one gets to find some in which it does nothing else. */
const ROUNDS = { least: 9, most: 60 };

/**
 * How many times as long one piece of work takes as another. Both run in turn and the fastest round of each counts, so that neither the
 * speed of the machine nor its load matters, only how the costs grow. There are more rounds where the work seems to take twice as long.
 */
export function costRatio(work: () => void, other: () => void): number {
  let [least, leastOfOther] = [Infinity, Infinity];
  for (let n = 0; n < ROUNDS.least || (n < ROUNDS.most && least > 2 * leastOfOther); n += 1) {
    leastOfOther = Math.min(leastOfOther, spentMs(other));
    least = Math.min(least, spentMs(work));
  }
  return least / leastOfOther;
}

function spentMs(work: () => void): number {
  const beganMs = performance.now();
  work();
  return performance.now() - beganMs;
}

// Jest does not start with this flag, and only a collection tells held memory from garbage.
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Held memory in bytes: objects and buffers that are still reachable after a collection. */
export async function heldBytes(): Promise<number> {
  for (let n = 0; n < 2; n += 1) {
    collect();
    // Weak references keep their targets until the end of a turn.
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
