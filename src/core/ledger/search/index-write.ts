import { chownSync, closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { PRIVATE_MODE } from '../../runtime/system/private-file.ts';
import { synced } from '../../runtime/system/synced.ts';

/**
 * Writes the file of an index, and its folder if that is missing: a reader sees all of it or nothing. If root writes them, they
 * are given to the owner of the folder above, so that the process that writes the records can read them. Throws the system's
 * error.
 *
 * @param suffix of the temporary file; must be unique within the folder
 */
export function writeIndexFile(path: string, bytes: Uint8Array, suffix: string): void {
  const folder = dirname(path);
  const owner = statSync(dirname(folder));
  if (mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined) giveTo(folder, owner);
  const temporary = `${path}.${suffix}.tmp`;
  const fd = openSync(temporary, 'wx', PRIVATE_MODE);
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
    fsyncSync(fd);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
  giveTo(temporary, owner);
  renameSync(temporary, path);
  synced(folder);
}

/** Gives a file of root to the owner of a folder. */
function giveTo(path: string, { uid, gid }: { readonly uid: number; readonly gid: number }): void {
  const own = statSync(path);
  if (own.uid === 0 && (uid !== 0 || own.gid !== gid)) chownSync(path, uid, gid);
}
