import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * How many times as long one piece of work takes as another. Both run in turn and the fastest round of each counts, so that neither the
 * speed of the machine nor its load matters, only how the costs grow.
 */
export function costRatio(work: () => void, other: () => void): number {
  let [least, leastOfOther] = [Infinity, Infinity];
  for (let round = 0; round < 9; round += 1) {
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
