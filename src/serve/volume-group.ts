import { closeSync, constants, fchmodSync, fstatSync, lstatSync, openSync, readdirSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Config } from '../core/config/config.ts';
import { PRIVATE_MODE } from '../core/runtime/system/private-file.ts';

const SET_GROUP_ID = 0o2000;
const GROUP = 0o070;
const OTHERS = 0o007;
const PRIVATE_FOLDER_MODE = 0o700;
/**
 * How deep folders below that of the state are entered; our own files lie two deep. A process in the group of the volume could
 * nest thousands.
 */
const MAX_DEPTH = 8;

/**
 * Closes state and keys to all but their owner again, if the kubelet opened them to the group of their volume (`fsGroup`). The kubelet does
 * so if the root of the volume has another group, and with `fsGroupChangePolicy: Always` at each start of a pod. Nothing is changed outside
 * of folders with its mark: group-writable and setgid, nor more than eight folders deep. What cannot be changed is left, and refused when it
 * is read.
 *
 * @returns how many files and folders were closed; 0 if the own files are not open to such a group
 */
export function closeToVolumeGroup({ ledger, state }: Pick<Config, 'ledger' | 'state'>): number {
  const own = [ledger.keyFile, ...(state.kind === 'sqlite' ? [state.path] : [])];
  const folders = own.filter(isOpened).map((path) => dirname(path));
  return [...new Set(folders)].reduce((sum, folder) => sum + closeIn(folder, MAX_DEPTH), 0);
}

const isOpened = (path: string): boolean => {
  const [file, folder] = [statsAt(path), statsAt(dirname(path))];
  return file !== null && folder !== null && isMarked(folder) && isOpenTo(folder.gid, file);
};

const isMarked = ({ mode }: Stats): boolean => (mode & SET_GROUP_ID) !== 0 && (mode & GROUP) === GROUP;

const isOpenTo = (group: number, { gid, mode }: Stats): boolean =>
  gid === group && (mode & GROUP) !== 0 && (mode & OTHERS) === 0;

function statsAt(path: string): Stats | null {
  try {
    return lstatSync(path);
  } catch {
    return null;
  }
}

function closeIn(folder: string, depth: number): number {
  const stats = statsAt(folder);
  if (stats === null || !isMarked(stats)) return 0;
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      const below = depth === 0 ? 0 : closeIn(path, depth - 1);
      return sum + below + close(path, stats.gid, PRIVATE_FOLDER_MODE);
    }
    return entry.isFile() ? sum + close(path, stats.gid, PRIVATE_MODE) : sum;
  }, 0);
}

/** By a descriptor: a process that may write to the folder could replace the file by a link meanwhile. */
function close(path: string, group: number, mode: number): number {
  let file: number | null = null;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    if (!isOpenTo(group, fstatSync(file))) return 0;
    fchmodSync(file, mode);
    return 1;
  } catch {
    return 0;
  } finally {
    if (file !== null) closeSync(file);
  }
}
