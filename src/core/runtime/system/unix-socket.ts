import { chmodSync, chownSync } from 'node:fs';
import { lstat, rename, stat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname, isAbsolute } from 'node:path';
import { errorCode } from './error-code.ts';

/** Longest path of `sockaddr_un` on Linux, without NUL, in bytes. */
const MAX_PATH_BYTES = 107;
/** Timeout for a process that holds the socket but does not accept. */
const PROBE_MS = 1_000;

/** Who may connect to a Unix socket, besides root. */
export interface SocketAccess {
  /** 0600 for the user of this process alone, 0660 for a group too. */
  readonly mode: number;
  /** The number of that group; `null` for the group of this process. */
  readonly groupId: number | null;
  /** Whether this process takes the socket over from a process that serves it. Default no: then the address is in use. */
  readonly takesOver?: boolean;
}

/**
 * Gives a socket that was just bound its group and mode. Synchronous, so that no connection is accepted before.
 * @returns the problem, or `null`
 */
export function restrictSocket(path: string, { mode, groupId }: SocketAccess): string | null {
  try {
    // The group first: otherwise another group would briefly have its access. -1 keeps the owner.
    if (groupId !== null) chownSync(path, -1, groupId);
    chmodSync(path, mode);
    return null;
  } catch (error) {
    const code = errorCode(error) ?? 'unknown error';
    const what = code === 'EPERM' ? `: this process must be a member of the group ${String(groupId)}` : '';
    return `the mode and group of the socket \`${path}\` cannot be set: ${code}${what}`;
  }
}

/**
 * Prepares the path of a Unix socket. Removes a stale socket of a dead process, leaves a socket that answers. Two processes that
 * start at the same moment with one path are not detected; give each its own.
 *
 * @param path absolute, at most 107 bytes, in an existing folder
 * @returns the problem, or `null` when the path is free
 */
export async function unixSocketProblem(path: string): Promise<string | null> {
  const problem = await unixPathProblem(path);
  if (problem !== null || (await lstat(path).catch(() => null)) === null) return problem;
  const outcome = await probe(path);
  if (outcome === 'answers') return `address in use: \`unix:${path}\``;
  if (outcome !== 'ECONNREFUSED') return `the socket \`${path}\` cannot be probed: ${outcome}`;
  return unlink(path).then(
    () => null,
    (error: NodeJS.ErrnoException) =>
      `the stale socket \`${path}\` cannot be removed: ${error.code ?? 'unknown error'}`,
  );
}

/** Why no Unix socket can be at a path, whether a file is there or not; `null` if it can. It changes nothing. */
export async function unixPathProblem(path: string): Promise<string | null> {
  if (!isAbsolute(path)) return `the socket path \`${path}\` must be absolute`;
  if (Buffer.byteLength(path) > MAX_PATH_BYTES)
    return `the socket path \`${path}\` must be at most ${MAX_PATH_BYTES} bytes`;
  const folder = dirname(path);
  if (
    !(await stat(folder).then(
      (found) => found.isDirectory(),
      () => false,
    ))
  ) {
    return `the folder \`${folder}\` of the socket does not exist`;
  }
  const found = await lstat(path).catch(() => null);
  return found === null || found.isSocket() ? null : `\`${path}\` exists and is not a socket`;
}

/** `answers` if a process holds the socket, even if it does not accept within `PROBE_MS`; otherwise the code of the error. */
const probe = (path: string): Promise<string> =>
  new Promise((resolve) => {
    const socket = connect(path);
    const settle = (outcome: string) => {
      socket.destroy();
      resolve(outcome);
    };
    socket.setTimeout(PROBE_MS, () => settle('answers'));
    socket.once('connect', () => settle('answers'));
    socket.once('error', (error: NodeJS.ErrnoException) => settle(error.code ?? 'unknown error'));
  });

/** Whether a process serves the socket at a path. */
export const isServed = async (path: string): Promise<boolean> =>
  (await unixPathProblem(path)) === null && (await probe(path)) === 'answers';

/** Whether anything is at a path. */
export const isThere = async (path: string): Promise<boolean> => (await lstat(path).catch(() => null)) !== null;

/** The name beside a socket at which its successor is bound before it is moved there. */
export const pathBeside = (path: string): string => `${path}.next`;

/**
 * Moves a bound socket to its path. Clients reach the former process until then, and this process from then on: no client finds the path
 * without a socket.
 *
 * @returns how to remove it, unless another process has taken it over; or the problem
 */
export async function moveSocket(from: string, path: string): Promise<(() => Promise<void>) | string> {
  try {
    const { ino } = await lstat(from);
    await rename(from, path);
    return async () => {
      const found = await lstat(path).catch(() => null);
      if (found?.ino === ino) await unlink(path).catch(() => undefined);
    };
  } catch (error) {
    await unlink(from).catch(() => undefined);
    return `the socket \`${path}\` cannot be taken over: ${errorCode(error) ?? 'unknown error'}`;
  }
}
