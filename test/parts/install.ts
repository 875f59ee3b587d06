import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE_MARKER, installEnvoy, intoCache, isProblem, type Problem } from '../../src/dev/envoy-binary.ts';
import { cacheFolder, envoyVersions, JAEGER_VERSION, jaegerFolder, SPIRE_VERSION, spireFolder } from './cache.ts';

/**
 * `npm run parts`: installs what the tests run against into the cache folder, and says what takes time. Quick where all
 * is there. Exit 1 where a part could not be had; the others are installed all the same.
 */

const say = (line: string): void => {
  process.stdout.write(`parts: ${line}\n`);
};

/** A part that is built from a Go module. */
interface GoPart {
  readonly name: string;
  readonly version: string;
  readonly folder: string;
  /** The commands to build, as Go imports them. */
  readonly commands: readonly string[];
  /** For people, of the first time. */
  readonly takes: string;
  readonly needs: string;
}

const spire: GoPart = {
  name: 'SPIRE',
  version: SPIRE_VERSION,
  folder: spireFolder,
  commands: ['spire-server', 'spire-agent'].map((name) => `github.com/spiffe/spire/cmd/${name}`),
  takes: 'about 7 minutes on 2 cores',
  needs: 'Go 1.25 or later and a C compiler',
};

const jaeger: GoPart = {
  name: 'Jaeger',
  version: JAEGER_VERSION,
  folder: jaegerFolder,
  commands: ['github.com/jaegertracing/jaeger/cmd/all-in-one'],
  takes: 'about 3 minutes on 2 cores',
  needs: 'Go 1.25 or later',
};

/** Builds in a scratch module, whose versions are then those of the part's own go.mod. */
async function installGoPart({ name, version, folder, commands, takes, needs }: GoPart): Promise<string | Problem> {
  if (existsSync(join(folder, CACHE_MARKER))) return folder;
  say(`building ${name} ${version} into ${folder} (${takes}, once)`);
  try {
    return await intoCache(folder, async (scratch) => {
      const go = (...args: string[]): void => {
        execFileSync('go', args, {
          cwd: scratch,
          env: { ...process.env, GOBIN: scratch },
          stdio: ['ignore', 'ignore', 'pipe'],
        });
      };
      go('mod', 'init', 'scratch');
      go('get', '-tool', ...commands.map((path) => `${path}@v${version}`));
      for (const path of commands) {
        say(`building ${path}`);
        go('install', path);
      }
      return folder;
    });
  } catch (error) {
    const cause = error instanceof Error ? error.message.trim().split('\n').slice(-3).join(' | ') : String(error);
    return { problem: `could not build ${name}, which takes ${needs}: ${cause}` };
  }
}

const results: (string | Problem)[] = [];
for (const version of envoyVersions) results.push(await installEnvoy(version, { cacheFolder, progress: say }));
for (const part of [jaeger, spire]) results.push(await installGoPart(part));

const problems = results.filter(isProblem);
for (const { problem } of problems) say(problem);
say(
  problems.length === 0
    ? `all ${results.length} are in ${cacheFolder}`
    : `${problems.length} of ${results.length} are missing`,
);
process.exitCode = problems.length === 0 ? 0 : 1;
