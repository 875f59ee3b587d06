import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { PRIVATE_MODE } from './private-file.ts';
import { synced } from './synced.ts';

/** Writes a new file that its owner alone may read, and has it on disk, name and all, on return. Throws where it exists. */
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
 * Replaces a file at once: a reader, or a process that starts after a crash, sees the old text or the new one.
 *
 * @param suffix makes the name of the file it is written to first; unique within the folder
 */
export function replacePrivateFile(path: string, text: string, suffix: string): void {
  writePrivateFile(`${path}.${suffix}`, text);
  renameSync(`${path}.${suffix}`, path);
  synced(dirname(path));
}
