import { lstatSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { lstat, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errorCode } from '../../../core/runtime/system/error-code.ts';
import { lockFile } from '../../../core/sqlite/file-lock.ts';
import type { FileLock } from '../../../core/sqlite/file-lock.ts';

/** A temporary folder that only this user can read, for the questions of one process. */
export interface QuestionFolder {
  readonly path: string;
  /** Deletes it. */
  readonly remove: () => Promise<void>;
}

const PREFIX = 'remit-analyze-';
const NAME = /^remit-analyze-[A-Za-z0-9]{6}$/;
const LOCK = 'lock';
/** Another process may take a folder for a leftover that is not locked yet. */
const TRIES = 8;
/** A folder without a lock may be one that is being made, until it is so old. */
const MADE_WITHIN_MS = 3_600_000;
/** Another process that looks for leftovers may create a lock within a folder while it is deleted. */
const DELETED = { recursive: true, force: true, maxRetries: 10, retryDelay: 20 } as const;
/** Most folders that one process looks at. The next process looks at the others. */
const MAX_LOOKS = 256;

/** Makes a folder within another one, locked until this process ends, and deletes those that ended processes of this user left there. */
export async function questionFolder(within: string): Promise<QuestionFolder> {
  const { path, lock } = await lockedFolder(within);
  await removeLeftovers(path);
  return {
    path,
    remove: async () => {
      await rm(path, DELETED);
      lock.release();
    },
  };
}

async function lockedFolder(within: string): Promise<{ readonly path: string; readonly lock: FileLock }> {
  for (let tries = TRIES; ; tries -= 1) {
    // `mkdtemp` gives mode 0700.
    const path = await mkdtemp(join(within, PREFIX));
    const lock = lockOf(path);
    // INVARIANT: the lock is on the file of this path. Another process may have deleted the folder before the lock was taken.
    if (lock !== null && lstatSync(join(path, LOCK), { throwIfNoEntry: false }) !== undefined) return { path, lock };
    lock?.release();
    if (tries === 1) throw new Error(`no temporary folder could be locked in \`${within}\``);
  }
}

/** `null` if another process has the lock, or has deleted the folder. */
function lockOf(folder: string): FileLock | null {
  try {
    return lockFile(join(folder, LOCK));
  } catch (error) {
    if (lstatSync(folder, { throwIfNoEntry: false }) === undefined) return null;
    throw error;
  }
}

/**
 * Deletes folders beside this one that no process has locked. The system releases a lock when its process ends, however it ends.
 * INVARIANT: only folders of this user that nobody else can change or replace, so that nothing else is deleted, whatever others put there.
 */
async function removeLeftovers(own: string): Promise<void> {
  const within = dirname(own);
  const made = await lstat(own);
  if (!isSafeWithin(await stat(within), made.uid)) return;
  const names = await readdir(within).catch((): string[] => []);
  for (const name of names.filter((each) => NAME.test(each)).slice(0, MAX_LOOKS)) {
    const path = join(within, name);
    if (path !== own) await removeIfLeft(path, made);
  }
}

/** Whether nobody but root and this user can rename or replace an entry of a folder that is theirs. */
const isSafeWithin = ({ mode, uid: owner }: Stats, uid: number): boolean =>
  (owner === 0 || owner === uid) && ((mode & 0o022) === 0 || (mode & 0o1000) !== 0);

/** A folder that cannot be deleted now stays for the next process. @param own of this process, made a moment ago */
async function removeIfLeft(path: string, own: Stats): Promise<void> {
  try {
    const found = await lstat(path);
    if (!found.isDirectory() || found.uid !== own.uid || (found.mode & 0o7777) !== 0o700) return;
    const locked = await lstat(join(path, LOCK)).catch((error: unknown) => {
      if (errorCode(error) === 'ENOENT') return null;
      throw error;
    });
    if (locked === null) {
      if (own.mtimeMs - found.mtimeMs > MADE_WITHIN_MS) await rm(path, DELETED);
      return;
    }
    const lock = locked.isFile() ? lockFile(join(path, LOCK)) : null;
    if (lock === null) return;
    await rm(path, DELETED).finally(() => lock.release());
  } catch {
    // Another process deletes it too, or it cannot be deleted.
  }
}
