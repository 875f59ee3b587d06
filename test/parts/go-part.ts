import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE_MARKER, intoCache, type BinaryProblem } from '../../src/dev/envoy-binary.ts';
import { cacheFolder } from './cache.ts';

/** A part that is built from Go modules. */
export interface GoPart {
  /** With its version. */
  readonly name: string;
  /** Where it is installed. */
  readonly folder: string;
  /** Paths of its commands. */
  readonly modules: readonly string[];
  /** As the module proxy names it. */
  readonly version: string;
  /** Modules with their versions, for a part whose own go.mod says none. */
  readonly needs?: readonly string[];
  /** Modules that stand for others, as `go mod edit -replace` takes them: those of the part's own go.mod do not count in a scratch module. */
  readonly replaces?: readonly string[];
  /** For the linker: what the programs say of their own version. */
  readonly ldflags?: string;
  /** Build tags; `''` for none. */
  readonly tags: string;
  /** Whether it is built with a C compiler. Default yes. */
  readonly isCgo?: boolean;
  /** How long that takes, for people. */
  readonly takes: string;
}

/** What Go has compiled in this run; some gigabytes, so `npm run parts` removes it at the end. */
export const goBuildCache = join(cacheFolder, 'go-build');

/**
 * Builds all of its commands in a scratch module, whose versions are then those of the part's own go.mod, or those it
 * `needs`. Takes Go and a C compiler; quick where it was done before.
 */
export async function installGoPart(part: GoPart, say: (line: string) => void): Promise<string | BinaryProblem> {
  const { folder, isCgo = true, ldflags = '', modules, name, needs = [], replaces = [], tags, version } = part;
  if (existsSync(join(folder, CACHE_MARKER))) return folder;
  say(`building ${name} into ${folder} (${part.takes})`);
  try {
    return await intoCache(folder, async (scratch) => {
      const go = (...args: string[]): void => {
        execFileSync('go', args, {
          cwd: scratch,
          env: { GOCACHE: goBuildCache, ...process.env, GOBIN: scratch, CGO_ENABLED: isCgo ? '1' : '0' },
          stdio: ['ignore', 'ignore', 'pipe'],
        });
      };
      go('mod', 'init', 'scratch');
      if (replaces.length > 0) go('mod', 'edit', ...replaces.map((replace) => `-replace=${replace}`));
      if (needs.length > 0) go('get', ...needs);
      go('get', '-tool', ...modules.map((path) => `${path}@${version}`));
      for (const path of modules) {
        say(`building ${path}`);
        go('install', '-tags', tags, '-ldflags', ldflags, path);
      }
      return folder;
    });
  } catch (error) {
    const cause = error instanceof Error ? error.message.trim().split('\n').slice(-3).join(' | ') : String(error);
    return { problem: `could not build ${name}, which takes Go 1.25 or later and a C compiler: ${cause}` };
  }
}
