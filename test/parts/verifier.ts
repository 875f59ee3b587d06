import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { CACHE_MARKER, intoCache, type BinaryProblem } from '../../src/dev/envoy-binary.ts';
import { cacheFolder } from './cache.ts';
import { goBuildCache } from './go-part.ts';

const SOURCE = resolve(import.meta.dirname, '../verifier');

const sources = readdirSync(SOURCE)
  .filter((name) => /\.go$|^go\.(mod|sum)$/.test(name))
  .toSorted();

/** Where the independent verifier is built, whether it is there or not. Another source is in another folder. */
export const verifierFolder = ((): string => {
  const digest = createHash('sha256');
  for (const name of sources) digest.update(name).update(readFileSync(join(SOURCE, name)));
  return join(cacheFolder, `verifier-${digest.digest('hex').slice(0, 12)}`);
})();

/** Builds the independent verifier of ledgers as `verifier`. Takes Go; quick if it was done before. */
export async function installVerifier(say: (line: string) => void): Promise<string | BinaryProblem> {
  if (existsSync(join(verifierFolder, CACHE_MARKER))) return verifierFolder;
  say(`building the independent verifier of ledgers into ${verifierFolder} (about a minute on 2 cores, once)`);
  try {
    return await intoCache(verifierFolder, async (scratch) => {
      for (const name of sources) await copyFile(join(SOURCE, name), join(scratch, name));
      execFileSync('go', ['build', '-o', 'verifier', '.'], {
        cwd: scratch,
        env: { GOCACHE: goBuildCache, ...process.env, CGO_ENABLED: '0' },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      return verifierFolder;
    });
  } catch (error) {
    return { problem: `could not build the independent verifier, which takes Go 1.25 or later: ${String(error)}` };
  }
}
