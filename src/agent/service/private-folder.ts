import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errorCode } from '../../core/runtime/system/error-code.ts';
import { PRIVATE_MODE } from '../../core/runtime/system/private-file.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { ownUser } from '../forward/local/peer-users.ts';

/** The folder of a helper: its sockets, its journal, and the file with the URL of its API. */
export interface PrivateFolder {
  readonly path: string;
  /** Whether it was made for this process alone and is removed with it. */
  readonly isOwn: boolean;
}

const PRIVATE_FOLDER = 0o700;

/**
 * The named folder, made if it is missing; without a name a new temporary folder. A problem unless it belongs to this user and is
 * closed to all others, since nothing else guards its sockets.
 */
export async function privateFolder(path: string | null): Promise<PrivateFolder | Problem> {
  try {
    // mkdtemp makes it with mode 0700.
    if (path === null) return { path: await mkdtemp(join(tmpdir(), 'remit-agent-')), isOwn: true };
    await mkdir(path, { recursive: true, mode: PRIVATE_FOLDER });
    const { mode, uid } = await stat(path);
    if ((mode & 0o077) !== 0 || uid !== (ownUser() ?? uid))
      return { problem: `the folder \`${path}\` must be of the user of this process, with mode 0700` };
    return { path, isOwn: false };
  } catch (error) {
    return { problem: `the folder \`${path ?? tmpdir()}\` cannot be made: ${errorCode(error) ?? 'unknown error'}` };
  }
}

/** Removes a folder with all that it has. */
export const removedFolder = (path: string): Promise<void> => rm(path, { recursive: true, force: true });

/** The port and the secret of an API, which a restart keeps, so that a service goes on with the URL that it has. */
export interface ApiAddress {
  readonly port: number;
  readonly secret: string;
}

const URL_LINE = /^REMIT_TASKS=http:\/\/127\.0\.0\.1:(\d{1,5})\/(remit_[\w-]{43})\/tasks$/m;

const environmentFile = (folder: string): string => join(folder, 'environment');

/** What an earlier process of the folder has written; `null` for nothing. */
export async function earlierAddress(folder: string): Promise<ApiAddress | null> {
  const text = await readFile(environmentFile(folder), 'utf8').catch(() => '');
  const [, port, secret] = URL_LINE.exec(text) ?? [];
  return secret === undefined ? null : { port: Number(port), secret };
}

/** Makes the next process of the folder choose a new secret. */
export const forgetAddress = (folder: string): Promise<void> => rm(environmentFile(folder), { force: true });

/** Writes the variables as a file of mode 0600, as systemd and shells read it. */
export async function writeEnvironment(folder: string, variables: Readonly<Record<string, string>>): Promise<void> {
  const lines = Object.entries(variables).map(([name, value]) => `${name}=${value}\n`);
  await forgetAddress(folder);
  await writeFile(environmentFile(folder), lines.join(''), { mode: PRIVATE_MODE, flag: 'wx' });
}
