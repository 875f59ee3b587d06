/** The room on the disks of a process. */
import { statfsSync } from 'node:fs';

/** Bytes on the disk under a path that an ordinary user may still write; `null` if they cannot be read. */
export function freeBytes(path: string): number | null {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  } catch {
    return null;
  }
}
