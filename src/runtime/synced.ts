import { closeSync, fsyncSync, openSync } from 'node:fs';

/** Has a file, or the names in a folder, on disk when this returns. Throws the system's error. */
export function synced(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
