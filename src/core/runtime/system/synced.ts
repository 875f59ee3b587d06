import { closeSync, fsyncSync, openSync } from 'node:fs';

/** Syncs a file, or a folder's entries, to disk (`fsync`). Throws the system's error. */
export function synced(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
