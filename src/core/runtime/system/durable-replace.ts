import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { PRIVATE_MODE } from './private-file.ts';

/**
 * Replaces a file atomically, of mode 0600, without blocking the process: as `replacePrivateFile`, for large files. What it wrote is synced with its
 * name before it resolves. Rejects if it cannot, and leaves no temporary file then.
 *
 * @param fresh path of the temporary file, in the same folder; must not exist
 */
export async function durablyReplaced(path: string, text: string, fresh: string): Promise<void> {
  try {
    await written(fresh, text);
    await rename(fresh, path);
    await folderSynced(dirname(path));
  } catch (error) {
    // On a full disk each attempt would leave a part of the file.
    await rm(fresh, { force: true }).catch(() => undefined);
    throw error;
  }
}

async function written(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', PRIVATE_MODE);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Syncs the names in a folder. */
export async function folderSynced(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
