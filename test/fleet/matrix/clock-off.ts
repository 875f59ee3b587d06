import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';

const SHARED_MEMORY = '/dev/shm';

/** The environment of a process whose wall clock is off by so much (`+1h`), while its monotonic clock is right. */
export function clockOff(faketime: string, by: string): Readonly<Record<string, string>> {
  removeLeftClocks();
  const environment = execFileSync(faketime, ['-f', by, 'env'], { encoding: 'utf8' });
  const library = /^LD_PRELOAD=(.+)$/m.exec(environment)?.[1];
  if (library === undefined) throw new Error('faketime names no library');
  return { LD_PRELOAD: library, FAKETIME: by, DONT_FAKE_MONOTONIC: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' };
}

/**
 * Removes the shared memory of processes that were killed while their clock was off. It is named by their id, and a process
 * that gets the same id later could not start.
 */
export function removeLeftClocks(): void {
  for (const name of readdirSync(SHARED_MEMORY)) {
    const id = /^(?:sem\.)?faketime_(?:sem|shm)_(\d+)$/.exec(name)?.[1];
    if (id !== undefined && !existsSync(`/proc/${id}`)) rmSync(`${SHARED_MEMORY}/${name}`, { force: true });
  }
}
