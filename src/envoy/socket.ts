import { lstat, stat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname, isAbsolute } from 'node:path';

/** A path in a `sockaddr_un` of Linux, without its closing NUL, in bytes. */
const MAX_PATH_BYTES = 107;
/** For a process that holds the socket and does not take connections. */
const PROBE_MS = 1_000;

/**
 * Makes way for a Unix socket: what a process that died left behind is removed, what answers is left alone. Two processes
 * that start at the same moment on one path are not told apart; give each its own.
 *
 * @param path absolute, at most 107 bytes, in a folder that exists
 * @returns what stands in the way, or `null` when the path is free
 */
export async function unixSocketProblem(path: string): Promise<string | null> {
  if (!isAbsolute(path)) return `the socket path \`${path}\` is not absolute`;
  if (Buffer.byteLength(path) > MAX_PATH_BYTES)
    return `the socket path \`${path}\` is longer than ${MAX_PATH_BYTES} bytes`;
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
  if (found === null) return null;
  if (!found.isSocket()) return `\`${path}\` exists and is not a socket`;
  const outcome = await probe(path);
  if (outcome === 'answers') return `address in use: \`unix:${path}\``;
  if (outcome !== 'ECONNREFUSED') return `the socket \`${path}\` cannot be probed: ${outcome}`;
  return unlink(path).then(
    () => null,
    (error: NodeJS.ErrnoException) =>
      `the stale socket \`${path}\` cannot be removed: ${error.code ?? 'unknown error'}`,
  );
}

/** Whether somebody takes connections there, or the error of trying. */
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
