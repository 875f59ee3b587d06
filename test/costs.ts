import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * How many times as long as another piece of work one takes. Both are done in turn and the quickest round of each is taken, so
 * that neither the speed of the machine nor its load says anything: only how the costs grow does.
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

// Jest is not started with it, and nothing else tells what is held from what is not yet collected.
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** What is held, in bytes: objects and buffers that are reached from somewhere, after all else was collected. */
export async function heldBytes(): Promise<number> {
  for (let n = 0; n < 2; n += 1) {
    collect();
    // What weak references keep lasts until the end of a turn.
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
