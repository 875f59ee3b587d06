import { execFile } from 'node:child_process';
import { copyFile, readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { entryPointOf } from '../entry-point.ts';
import { sum } from './statistics.ts';
import type { Stage } from './stage.ts';

/** What a host or an image has of a build, and a Node.js of its own, so that nothing else keeps its files in memory. */
export interface Installation {
  readonly folder: string;
  /** The folder of the program. */
  readonly program: string;
  readonly node: string;
  /** What the entry point of its image gives that Node.js. */
  readonly flags: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly installedMiB: number;
  readonly nodeMiB: number;
}

const exec = promisify(execFile);

/** Installs the built product of a checkout into the folder of the stage, by the script of the release. */
export async function install(stage: Stage, checkout: string, name: string): Promise<Installation> {
  const folder = join(stage.folder, name);
  await exec(process.execPath, [join(resolve(checkout), '.ci/release/release.ts'), '--tree', folder]);
  const installedMiB = await sizeMiB(folder);
  const node = join(folder, 'node');
  await copyFile(process.execPath, node);
  const { command, environment } = await entryPointOf(resolve(checkout));
  return {
    folder,
    program: join(folder, 'usr/lib/remit'),
    node,
    flags: command.filter((word) => word.startsWith('--')),
    environment,
    installedMiB,
    nodeMiB: await sizeMiB(node),
  };
}

const BYTES_PER_MIB = 1024 * 1024;

/** The bytes of a file, or of all files below a folder, as MiB. */
export async function sizeMiB(path: string): Promise<number> {
  const about = await stat(path);
  if (!about.isDirectory()) return about.size / BYTES_PER_MIB;
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return sum(await Promise.all(files.map(sizeMiB)));
}
