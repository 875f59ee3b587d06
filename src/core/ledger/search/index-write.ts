import {
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
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
  if (mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined) giveFolderTo(folder, owner);
  const temporary = `${path}.${suffix}.tmp`;
  const fd = openSync(temporary, 'wx', PRIVATE_MODE);
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
    giveTo(fd, owner);
    fsyncSync(fd);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
  synced(folder);
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

function giveFolderTo(folder: string, owner: Owner): void {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    giveTo(fd, owner);
  } finally {
    closeSync(fd);
  }
}

/**
 * Gives what root has just made to the owner of a folder. INVARIANT: by its descriptor, since that owner may have put a link to another file
 * of root at its path meanwhile.
 */
function giveTo(fd: number, { uid, gid }: Owner): void {
  const own = fstatSync(fd);
  if (own.uid === 0 && (uid !== 0 || own.gid !== gid)) fchownSync(fd, uid, gid);
}
