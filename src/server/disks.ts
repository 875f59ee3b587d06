import { statfsSync } from 'node:fs';

/** Bytes of the disk under a path that are free to an ordinary user; `null` where it cannot be looked at. */
export function freeBytes(path: string): number | null {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  } catch {
    return null;
  }
}
