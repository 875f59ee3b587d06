import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE_MARKER, intoCache, type BinaryProblem } from '../../src/dev/envoy-binary.ts';
import { PATRONI_VERSION, patroniFolder } from './cache.ts';

/** The driver that Patroni connects to PostgreSQL with, and its client of etcd. */
const PACKAGES = [`patroni[etcd3]==${PATRONI_VERSION}`, 'psycopg[binary]==3.3.9'];

/** Installs Patroni from its Python wheel, with what it needs. Takes Python 3 with pip; quick where it was done before. */
export async function installPatroni(say: (line: string) => void): Promise<string | BinaryProblem> {
  if (existsSync(join(patroniFolder, CACHE_MARKER))) return patroniFolder;
  say(`installing Patroni ${PATRONI_VERSION} into ${patroniFolder} (about 30 MB, once)`);
  try {
    return await intoCache(patroniFolder, (scratch) => {
      const quietly = ['--quiet', '--disable-pip-version-check'];
      execFileSync('python3', ['-m', 'pip', 'install', ...quietly, '--target', scratch, ...PACKAGES], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      return Promise.resolve(patroniFolder);
    });
  } catch (error) {
    return {
      problem: `could not install Patroni ${PATRONI_VERSION}, which takes Python 3 with pip: ${String(error)}`,
    };
  }
}
