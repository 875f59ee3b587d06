import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { PRIVATE_MODE } from './private-file.ts';
import { synced } from './synced.ts';

/** Creates a file of mode 0600 and syncs it and its folder before it returns. Throws if the file exists. */
export function writePrivateFile(path: string, text: string): void {
  const file = openSync(path, 'wx', PRIVATE_MODE);
  try {
    writeFileSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  synced(dirname(path));
}

/**
 * Replaces a file atomically: a reader, or a process that starts after a crash, sees the old text or the new text.
 *
 * @param suffix of the temporary file; must be unique within the folder
 */
export function replacePrivateFile(path: string, text: string, suffix: string): void {
  writePrivateFile(`${path}.${suffix}`, text);
  renameSync(`${path}.${suffix}`, path);
  synced(dirname(path));
}
