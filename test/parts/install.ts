import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE_MARKER, installEnvoy, intoCache, isProblem, type Problem } from '../../src/dev/envoy-binary.ts';
import { cacheFolder, envoyVersions, SPIRE_VERSION, spireFolder } from './cache.ts';

/**
 * `npm run parts`: installs what the tests run against into the cache folder, and says what takes time. Quick where all
 * is there. Exit 1 where a part could not be had; the others are installed all the same.
 */

const say = (line: string): void => {
  process.stdout.write(`parts: ${line}\n`);
};

const modules = ['spire-server', 'spire-agent'].map((name) => `github.com/spiffe/spire/cmd/${name}`);

/** Builds both in a scratch module, whose versions are then those of SPIRE's own go.mod. Needs Go and a C compiler. */
async function installSpire(): Promise<string | Problem> {
  if (existsSync(join(spireFolder, CACHE_MARKER))) return spireFolder;
  say(`building SPIRE ${SPIRE_VERSION} into ${spireFolder} (about 7 minutes on 2 cores, once)`);
  try {
    return await intoCache(spireFolder, async (scratch) => {
      const go = (...args: string[]): void => {
        execFileSync('go', args, {
          cwd: scratch,
          env: { ...process.env, GOBIN: scratch },
          stdio: ['ignore', 'ignore', 'pipe'],
        });
      };
      go('mod', 'init', 'scratch');
      go('get', '-tool', ...modules.map((path) => `${path}@v${SPIRE_VERSION}`));
      for (const path of modules) {
        say(`building ${path}`);
        go('install', path);
      }
      return spireFolder;
    });
  } catch (error) {
    const cause = error instanceof Error ? error.message.trim().split('\n').slice(-3).join(' | ') : String(error);
    return { problem: `could not build SPIRE, which takes Go 1.25 or later and a C compiler: ${cause}` };
  }
}

const results: (string | Problem)[] = [];
for (const version of envoyVersions) results.push(await installEnvoy(version, { cacheFolder, progress: say }));
results.push(await installSpire());

const problems = results.filter(isProblem);
for (const { problem } of problems) say(problem);
say(
  problems.length === 0
    ? `all ${results.length} are in ${cacheFolder}`
    : `${problems.length} of ${results.length} are missing`,
);
process.exitCode = problems.length === 0 ? 0 : 1;
