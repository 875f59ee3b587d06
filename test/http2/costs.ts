import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** The processor time that something takes in this process, milliseconds: it does not grow with the load of the machine. */
export function cpuMs(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
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
