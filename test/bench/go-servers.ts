import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CACHE_MARKER, intoCache, isBinaryProblem, type BinaryProblem } from '../../src/dev/envoy-binary.ts';
import { cacheFolder } from '../parts/cache.ts';
import { installGoPart } from '../parts/go-part.ts';

/** The Go binaries of the benchmark. */
export interface GoBinaries {
  /** An ext_authz server that does nothing. */
  readonly noop: string;
  /** An ext_authz server on OPA's library. */
  readonly opa: string;
  /** Open Policy Agent with its plugin for Envoy. */
  readonly opaPlugin: string;
  /** Receives spans and discards them. */
  readonly sink: string;
  /** Takes the files below folders out of the file cache. */
  readonly evict: string;
  /** The load generator of whole tasks. */
  readonly tasks: string;
  /** The load generator of fixed rates. */
  readonly vegeta: string;
}

const VEGETA_VERSION = '12.13.0';
const sources = resolve(import.meta.dirname, 'go');
/** A module of its own, so that its dependencies have the versions that its release names. */
const opaPlugin = join(sources, 'opa-envoy-plugin');

/**
 * Builds what is not in the cache. Only the benchmark needs it, so `npm run parts` does not build it. A changed source gets another folder.
 * Throws an error that says what to do where it cannot.
 */
export async function goBinaries(say: (line: string) => void): Promise<GoBinaries> {
  const vegeta = await installGoPart(
    {
      name: `vegeta ${VEGETA_VERSION}`,
      folder: join(cacheFolder, `vegeta-${VEGETA_VERSION}`),
      modules: ['github.com/tsenart/vegeta/v12'],
      version: `v${VEGETA_VERSION}`,
      tags: '',
      takes: 'about 10 seconds, once',
    },
    say,
  );
  const servers = await installServers(say);
  if (isBinaryProblem(vegeta)) throw new Error(vegeta.problem);
  if (isBinaryProblem(servers)) throw new Error(servers.problem);
  const built = (name: string): string => join(servers, name);
  return {
    noop: built('noop'),
    opa: built('opa'),
    opaPlugin: built('opa-envoy-plugin'),
    sink: built('sink'),
    evict: built('evict'),
    tasks: built('tasks'),
    vegeta: join(vegeta, 'vegeta'),
  };
}

async function installServers(say: (line: string) => void): Promise<string | BinaryProblem> {
  const folder = join(cacheFolder, `bench-${sourceHash()}`);
  if (existsSync(join(folder, CACHE_MARKER))) return folder;
  say(`building the Go servers into ${folder} (about three minutes, once)`);
  try {
    return await intoCache(folder, (scratch) => {
      const install = (cwd: string, what: string): void => {
        execFileSync('go', ['install', what], {
          cwd,
          env: { ...process.env, GOBIN: scratch, GOFLAGS: '-mod=readonly -buildvcs=false' },
          stdio: ['ignore', 'ignore', 'pipe'],
        });
      };
      install(sources, './...');
      install(opaPlugin, 'github.com/open-policy-agent/opa-envoy-plugin/cmd/opa-envoy-plugin');
      return Promise.resolve(folder);
    });
  } catch (error) {
    return { problem: `could not build the Go servers, which takes Go 1.26: ${String(error)}` };
  }
}

function sourceHash(): string {
  const hash = createHash('sha256');
  const files = readdirSync(sources, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  for (const path of files.map((entry) => join(entry.parentPath, entry.name)).sort()) {
    hash.update(path.slice(sources.length)).update(readFileSync(path));
  }
  return hash.digest('hex').slice(0, 16);
}

/** The version of a module that go.mod names. */
const versionOf = (module: string, folder: string): string =>
  new RegExp(`${module} (\\S+)`).exec(readFileSync(join(folder, 'go.mod'), 'utf8'))?.[1] ?? 'unknown';

/** Versions of the Go modules in the servers. */
export const goModuleVersions = (): Readonly<Record<string, string>> => ({
  opa: versionOf('open-policy-agent/opa', sources),
  opaEnvoyPlugin: versionOf('open-policy-agent/opa-envoy-plugin', opaPlugin),
  goControlPlane: versionOf('go-control-plane/envoy', sources),
  grpcGo: versionOf('google.golang.org/grpc', sources),
  vegeta: `v${VEGETA_VERSION}`,
});
