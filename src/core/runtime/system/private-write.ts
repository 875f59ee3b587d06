import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { PRIVATE_MODE } from './private-file.ts';
import { synced } from './synced.ts';

/**
 * Creates a file of mode 0600 and syncs it and its folder before it returns. Throws if the file exists, or cannot be written: then there is no
 * file, so that a start after a full disk does not find an empty key.
 */
export function writePrivateFile(path: string, text: string): void {
  const file = openSync(path, 'wx', PRIVATE_MODE);
  orRemoved(path, () => {
    try {
      writeFileSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    synced(dirname(path));
  });
}

/**
 * Replaces a file atomically: a reader, or a process that starts after a crash, sees the old text or the new text. Throws if it cannot, and leaves
 * no temporary file then.
 *
 * @param suffix of the temporary file; must be unique within the folder
 */
export function replacePrivateFile(path: string, text: string, suffix: string): void {
  const fresh = `${path}.${suffix}`;
  writePrivateFile(fresh, text);
  orRemoved(fresh, () => renameSync(fresh, path));
  synced(dirname(path));
}

/** Removes a file of this process if the rest of its making fails. */
function orRemoved(path: string, rest: () => void): void {
  try {
    rest();
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  }
}
