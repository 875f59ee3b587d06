import { closeSync, openSync, writeSync } from 'node:fs';

const block = Buffer.alloc(4_096, 1);

/** Writes a file until its disk has no room left; others may write to the disk at the same time. Throws what is not ENOSPC. */
export function fillDisk(file: string): void {
  const descriptor = openSync(file, 'w');
  try {
    for (;;) writeSync(descriptor, block);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(descriptor);
  }
}
